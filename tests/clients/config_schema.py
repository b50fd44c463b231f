"""Asks a validator of JSON Schema (draft 2020-12): the files are right, and each of them is wrong once something in it is."""

import copy
import json
import sys
import tomllib

import jsonschema_rs

schema = json.load(open(sys.argv[1], encoding="utf-8"))
jsonschema_rs.meta.validate(schema)
validator = jsonschema_rs.Draft202012Validator(schema)

for path in sys.argv[2:]:
    with open(path, "rb") as file:
        config = tomllib.load(file)
    problems = [f"{path}: {e.instance_path}: {e.message}" for e in validator.iter_errors(config)]
    assert not problems, "\n".join(problems)

    def wrong(what, change):
        other = copy.deepcopy(config)
        change(other)
        assert not validator.is_valid(other), f"{path}: {what} goes unnoticed"

    wrong("a misspelt key", lambda c: c["sftp"].update(banana="x"))
    wrong("a misspelt table", lambda c: c.update(sfpt={}))
    wrong("a number in quotes", lambda c: c["sftp"].update(max_auth_tries="6"))
    wrong("a number out of range", lambda c: c["sftp"].update(max_auth_tries=101))
    wrong("a duration without a unit", lambda c: c.update(shutdown_grace="30"))
    wrong("a word that is not known", lambda c: c["ftps"].update(session_reuse="maybe"))
    wrong("a required key that is missing", lambda c: c["tenant"][0].pop("id"))
    wrong("a secret in clear", lambda c: c["tenant"][0]["webhook"][0].update(secret="hunter2"))
    wrong("a scope that is not known", lambda c: c["tenant"][0]["identity"][0].update(scopes=["files:raed"]))
    wrong("a table where a list of them is", lambda c: c.update(tenant=c["tenant"][0]))
