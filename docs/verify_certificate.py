#!/usr/bin/env python3
"""Check a certificate of imbulk, its chain and proofs, with the standard library and ssh-keygen.

It accepts and refuses the same files as `imbulk verify-certificate`. Exit codes: 0 valid, 1 the signature
cannot be checked because ssh-keygen is missing, 2 usage error or an unreadable file, 3 not valid.
"""

import argparse
import datetime
import hashlib
import json
import re
import subprocess
import sys
import tempfile

NAMESPACE = "imbulk-certificate"
MAGIC = b"imbulk proof 1\n"
OUTCOMES = ["succeeded", "already_done", "failed", "in_doubt", "pending", "rejected", "duplicate", "protected"]
VERIFIED = ["confirmed", "contradicted", "unknown"]
KEYS = set(
    "schema proves relies_on job target run operation options number previous rows outcomes inputs input_digest "
    "started_at finished_at certified_at root key program".split()
)
SIGNATURE = re.compile(
    r"-----BEGIN SSH SIGNATURE-----\n(?:[A-Za-z0-9+/=]{70}\n)*[A-Za-z0-9+/=]{1,70}\n-----END SSH SIGNATURE-----\n"
)


class Invalid(Exception):
    """What does not hold."""


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


# Proofs


class Bytes:
    """Reads a proof from its first byte to its last."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        taken = self.data[self.at : self.at + count]
        if len(taken) != count:
            raise Invalid("the proof is truncated")
        self.at += count
        return taken

    def number(self, count, signed=False):
        return int.from_bytes(self.take(count), "big", signed=signed)

    def optional(self):
        flag = self.number(1)
        if flag > 1:
            raise Invalid("the proof has an unknown flag")
        return self.number(8, signed=True) if flag else None

    def choice(self, names):
        at = self.number(1)
        if at >= len(names):
            raise Invalid("the proof has an unknown value")
        return names[at]


def read_proof(data):
    """What the proof says of its row, the encoded leaf, and the path."""
    if not data.startswith(MAGIC):
        raise Invalid("this is not a proof")
    proof = Bytes(data)
    start = len(proof.take(len(MAGIC)))
    row = {"row": proof.number(8), "input": proof.number(4), "line": proof.number(8)}
    row["outcome"] = proof.choice(OUTCOMES)
    row["code"], row["finished_at"] = proof.optional(), proof.optional()
    row["verified"] = proof.choice([None, *VERIFIED])
    row["verified_at"] = proof.number(8, signed=True) if row["verified"] else None
    leaf = data[start : proof.at]
    count = proof.number(1)
    leaf += bytes([count])
    row["ids"] = []
    for _ in range(count):
        shown = proof.number(1)
        if shown > 1:
            raise Invalid("the proof has an unknown flag")
        if shown:
            salt = proof.take(16)
            account = proof.take(proof.number(4))
            row["ids"].append(account.decode("utf-8"))
            leaf += sha256(b"\x02", salt, b"\x01", account)
        else:
            leaf += proof.take(32)
    path = [proof.take(32) for _ in range(proof.number(1))]
    if proof.at != len(data) or not row["ids"]:
        raise Invalid("this is not exactly one proof")
    return row, leaf, path


def root_of(row, leaf, path, operation, rows):
    """The root to which a proof leads (RFC 6962, 2.1.1)."""
    name = operation.encode("utf-8")
    value = sha256(b"\x00", len(name).to_bytes(4, "big"), name, leaf)
    at, last = row, rows - 1
    if at > last:
        raise Invalid("the proof is of a row that does not exist")
    for beside in path:
        if last == 0:
            raise Invalid("the path of the proof is too long")
        if at % 2 or at == last:
            value = sha256(b"\x01", beside, value)
            while at and at % 2 == 0:
                at, last = at // 2, last // 2
        else:
            value = sha256(b"\x01", value, beside)
        at, last = at // 2, last // 2
    if last:
        raise Invalid("the path of the proof is too short")
    return value.hex()


# Signatures


def ssh_keygen(action, name, arguments, data):
    command = ["ssh-keygen", "-Y", action, "-n", NAMESPACE, *arguments]
    done = subprocess.run(command, input=data, capture_output=True, check=False)
    if done.returncode:
        said = " ".join((done.stdout + done.stderr).decode("utf-8", "replace").split())
        raise Invalid(f"{name}: the signature is not valid: {said}")
    return done.stdout.decode("utf-8", "replace")


def signer_of(name, data, signature, allowed_signers):
    """The fingerprint of the key that signed, and the name of its owner in the allowed_signers file."""
    if not SIGNATURE.fullmatch(signature.decode("utf-8", "replace")):
        raise Invalid(f"{name}: the signature is not one as ssh-keygen writes it")
    with tempfile.NamedTemporaryFile() as file:
        file.write(signature)
        file.flush()
        said = ssh_keygen("check-novalidate", name, ["-s", file.name], data)
        key = said.strip().rpartition(" key ")[2]
        if not allowed_signers:
            return key, None
        found = ssh_keygen("find-principals", name, ["-s", file.name, "-f", allowed_signers], data)
        principal = (found.splitlines() or [""])[0]
        ssh_keygen("verify", name, ["-s", file.name, "-f", allowed_signers, "-I", principal], data)
        return key, principal


# Certificates


def read(path):
    with open(path, "rb") as file:
        return file.read()


def is_count(value):
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def statement_of(name, data, key):
    try:
        statement = json.loads(data.decode("utf-8"))
    except ValueError as error:
        raise Invalid(f"{name}: this is not a certificate: {error}") from error
    if not isinstance(statement, dict) or set(statement) != KEYS or statement["schema"] != 1:
        raise Invalid(f"{name}: this is not a certificate of a known format")
    outcomes, number = statement["outcomes"], statement["number"]
    if not isinstance(outcomes, dict) or not set(outcomes) <= set(OUTCOMES):
        raise Invalid(f"{name}: an outcome is not known")
    if not all(map(is_count, [statement["rows"], number, *outcomes.values()])):
        raise Invalid(f"{name}: a number is not valid")
    if sum(outcomes.values()) != statement["rows"] or outcomes.get("pending"):
        raise Invalid(f"{name}: the outcomes do not add up to {statement['rows']} rows, or rows are pending")
    if key is not None and statement["key"] != key:
        raise Invalid(f"{name}: it names the key {statement['key']}, but {key} signed it")
    if number == 0 or (number == 1) != (statement["previous"] is None):
        raise Invalid(f"{name}: it names no previous certificate, or is not the first one")
    return statement


def check_chain(newest, previous):
    """Follows the chain from a certificate to the first one. Every file must be a part of it."""
    after = newest
    for name, data, statement in sorted(previous, key=lambda given: -given[2]["number"]):
        follows = (
            after["previous"] == sha256(data).hex()
            and statement["number"] + 1 == after["number"]
            and (statement["job"], statement["target"]) == (after["job"], after["target"])
        )
        if not follows:
            raise Invalid(f"{name}: certificate {after['number']} of the chain does not follow it")
        after = statement
    if after["previous"] is not None:
        raise Invalid(f"certificate {after['number'] - 1} of the chain is missing")


def given(path, allowed_signers):
    """A certificate file: its bytes, its statement, and who signed it (None if ssh-keygen is missing)."""
    data, signature = read(path), read(path + ".sig")
    try:
        signer = signer_of(path, data, signature, allowed_signers)
    except FileNotFoundError:
        signer = None
    return data, statement_of(path, data, signer and signer[0]), signer


def moment(milliseconds):
    start = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    return (start + datetime.timedelta(milliseconds=milliseconds)).isoformat(timespec="milliseconds")


def verify(arguments):
    _data, statement, signer = given(arguments.certificate, arguments.allowed_signers)
    previous = []
    for path in arguments.previous:
        data, earlier, _signer = given(path, arguments.allowed_signers)
        previous.append((path, data, earlier))
    if previous:
        check_chain(statement, previous)
    print(f"certificate {statement['number']} of job {statement['job']} on {statement['target']}")
    print(f"run {statement['run']}: {statement['operation']}, {statement['rows']} rows, {statement['outcomes']}")
    for path in arguments.proof:
        row, leaf, hashes = read_proof(read(path))
        if root_of(row["row"], leaf, hashes, statement["operation"], statement["rows"]) != statement["root"]:
            raise Invalid(f"{path}: the proof does not lead to the root of {arguments.certificate}")
        if row["input"] >= len(statement["inputs"]):
            raise Invalid(f"{path}: {arguments.certificate} has no such input file")
        place = f"{statement['inputs'][row['input']]['name']}:{row['line']}"
        at = "" if row["finished_at"] is None else f" at {moment(row['finished_at'])}"
        verified = f", {row['verified']} at {moment(row['verified_at'])}" if row["verified"] else ""
        print(f"proved: {', '.join(row['ids'])} ({place}): {row['outcome']}{at}{verified}")
    if signer is None:
        print("everything but the signature holds; the signature is not checked: ssh-keygen is missing")
        return 1
    print(f"valid: signed by {', '.join(filter(None, reversed(signer)))}")
    if arguments.allowed_signers is None:
        print("anybody can make such a key: --allowed-signers compares it with the keys that you trust")
    return 0


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("certificate", metavar="FILE", help="certificate; its signature is in FILE.sig")
    parser.add_argument("--proof", nargs="+", default=[], metavar="FILE", help="proofs that must lead to its root")
    parser.add_argument("--previous", nargs="+", default=[], metavar="FILE", help="all certificates before it")
    parser.add_argument("--allowed-signers", metavar="FILE", help="keys that may sign")
    try:
        return verify(parser.parse_args(arguments))
    except Invalid as error:
        print(f"error: {error}", file=sys.stderr)
        return 3
    except UnicodeDecodeError as error:
        print(f"error: a proof is not valid: {error}", file=sys.stderr)
        return 3
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
