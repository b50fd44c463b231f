"""Python's `ftplib` with a time-based code by ACCT, as the server asks for it (RFC 959 section 4.1.1), and behind the password.

    ftplib_codes.py PORT LOGIN PASSWORD CODE ANOTHER_CODE CA_FILE
"""

import ftplib
import ssl
import sys

port, login, password, code, another, ca = sys.argv[1:7]


def connected():
    client = ftplib.FTP_TLS(context=ssl.create_default_context(cafile=ca), timeout=60)
    client.connect("localhost", int(port))
    return client


def refused(*arguments):
    client = connected()
    try:
        client.login(*arguments)
    except ftplib.all_errors as error:
        client.close()
        return str(error)[:3]
    raise AssertionError(f"let in by {len(arguments) - 1} things")


# `ftplib` sends ACCT on 332, with nothing where it was given nothing.
assert refused(login, password) in ("530", "501"), "the password alone"
client = connected()
client.login(login, password, code)
assert client.pwd() == "/"
client.quit()
assert refused(login, password, code) == "530", "a code counts once"
assert refused(login, password + code) == "530", "behind the password neither"
wrong = another[:-1] + str((int(another[-1]) + 5) % 10)
assert refused(login, password + wrong) == "530", "a wrong code behind the password"
assert refused(login, "x" + password + another) == "530", "a right code behind a wrong password"
client = connected()
client.login(login, password + another)
assert client.pwd() == "/"
client.quit()
assert refused(login, password + another) == "530", "it counts once, too"
print("done")
