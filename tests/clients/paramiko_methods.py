"""paramiko shows one credential after the other on one connection, asking for the authentication service anew before each:
port, key file and password are the arguments. Ends with 0 if all is as it must be."""

import sys

import paramiko

port, key, password = int(sys.argv[1]), sys.argv[2], sys.argv[3]
key = paramiko.Ed25519Key.from_private_key_file(key)
unknown = paramiko.RSAKey.generate(2048)


def connect():
    transport = paramiko.Transport(("127.0.0.1", port))
    transport.banner_timeout = transport.auth_timeout = 20
    transport.start_client(timeout=20)
    return transport


def refused(attempt):
    try:
        attempt()
    except paramiko.AuthenticationException:
        return
    raise SystemExit("this must be refused")


# What is refused, and then what is right.
transport = connect()
refused(lambda: transport.auth_publickey("edi01", unknown))
refused(lambda: transport.auth_password("edi01", "wrong", fallback=False))
transport.auth_password("edi01", password)
assert transport.is_authenticated()
assert "inbound" in paramiko.SFTPClient.from_transport(transport).listdir("/")
transport.close()

# Two things that are needed together: what was proven is not forgotten.
transport = connect()
left = transport.auth_publickey("both01", key)
assert "password" in left and "publickey" not in left, left
assert transport.auth_password("both01", password) == []
assert transport.is_authenticated()
transport.close()

# The same by the client that does it by itself.
client = paramiko.SSHClient()
client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
client.connect("127.0.0.1", port, "both01", password, pkey=key, look_for_keys=False, allow_agent=False)
assert "inbound" in client.open_sftp().listdir("/")
client.close()
print("paramiko: all as it must be")
