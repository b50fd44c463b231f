"""An SSH agent with two hardware keys that are none: what they sign is what a FIDO token would (OpenSSH's PROTOCOL.u2f), and
whether somebody touched it or typed a PIN is the argument. Arguments: the socket, and the flags (1 touched, 4 verified).
Prints the public keys, one a line, and serves until its standard input ends. The keys are the same each time."""

import base64
import hashlib
import os
import socket
import struct
import sys
import threading

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

IDENTITIES, IDENTITIES_ANSWER, SIGN, SIGN_ANSWER, FAILURE = 11, 12, 13, 14, 5
APPLICATION = b"ssh:"
RAW = serialization.Encoding.Raw, serialization.PublicFormat.Raw
POINT = serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint


def string(value):
    return struct.pack(">I", len(value)) + value


def number(value):
    return string(value.to_bytes(value.bit_length() // 8 + 1, "big"))


def take(data):
    length = struct.unpack(">I", data[:4])[0]
    return data[4 : 4 + length], data[4 + length :]


class Ed25519:
    name = b"sk-ssh-ed25519@openssh.com"
    key = ed25519.Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"causeway test").digest())

    def blob(self):
        return string(self.name) + string(self.key.public_key().public_bytes(*RAW)) + string(APPLICATION)

    def sign(self, data):
        return self.key.sign(data)


class Ecdsa:
    name = b"sk-ecdsa-sha2-nistp256@openssh.com"
    key = ec.derive_private_key(0xCA05E3A1 << 64 | 7, ec.SECP256R1())

    def blob(self):
        point = self.key.public_key().public_bytes(*POINT)
        return string(self.name) + string(b"nistp256") + string(point) + string(APPLICATION)

    def sign(self, data):
        r, s = decode_dss_signature(self.key.sign(data, ec.ECDSA(hashes.SHA256())))
        return number(r) + number(s)


KEYS = [Ed25519(), Ecdsa()]
counter = 0


def answer(message, flags):
    global counter
    kind, rest = message[0], message[1:]
    if kind == IDENTITIES:
        keys = b"".join(string(key.blob()) + string(b"token") for key in KEYS)
        return bytes([IDENTITIES_ANSWER]) + struct.pack(">I", len(KEYS)) + keys
    if kind == SIGN:
        blob, rest = take(rest)
        data, _ = take(rest)
        for key in KEYS:
            if key.blob() == blob:
                counter += 1
                trailer = bytes([flags]) + struct.pack(">I", counter)
                told = hashlib.sha256(APPLICATION).digest() + trailer + hashlib.sha256(data).digest()
                signature = string(key.name) + string(key.sign(told)) + trailer
                return bytes([SIGN_ANSWER]) + string(signature)
    return bytes([FAILURE])


def read(connection, length):
    data = b""
    while len(data) < length:
        piece = connection.recv(length - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


def serve(connection, flags):
    with connection:
        try:
            while True:
                message = read(connection, struct.unpack(">I", read(connection, 4))[0])
                connection.sendall(string(answer(message, flags)))
        except (EOFError, OSError):
            pass


def accept(listener, flags):
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection, flags), daemon=True).start()


path, flags = sys.argv[1], int(sys.argv[2])
listener = socket.socket(socket.AF_UNIX)
listener.bind(path)
listener.listen()
threading.Thread(target=accept, args=(listener, flags), daemon=True).start()
for key in KEYS:
    print(key.name.decode(), base64.b64encode(key.blob()).decode(), flush=True)
sys.stdin.read()
os.unlink(path)
