"""Compiles HLSL files with DXC, as a DX12 driver would be given them: dxc.py LIBDXCOMPILER FILE...

Prints what DXC says of each file that it refuses, and ends with code 1 where there is one.
"""

import ctypes
import sys
import uuid
from ctypes import POINTER, byref, c_int32, c_size_t, c_uint32, c_void_p, c_wchar_p

COMPILER = uuid.UUID("73e22d93-e6ce-47f3-b5bf-f0664f39c1b0")
ICOMPILER3 = uuid.UUID("228b4687-5a6a-4730-900c-9702b2203f54")
IRESULT = uuid.UUID("58346cda-dde7-4497-9461-6f87af5e0659")
ARGUMENTS = ["-T", "cs_6_2", "-E", "main", "-HV", "2018", "-enable-16bit-types"]
UTF8 = 65001


class Buffer(ctypes.Structure):
    """DxcBuffer."""

    _fields_ = [("data", c_void_p), ("size", c_size_t), ("encoding", c_uint32)]


def method(this, index, *types):
    """The method in this place of an object's own; its table begins with IUnknown's three and two destructors."""
    table = ctypes.cast(this, POINTER(POINTER(c_void_p))).contents
    return lambda *arguments: ctypes.CFUNCTYPE(c_int32, c_void_p, *types)(table[5 + index])(this, *arguments)


def check(result, what):
    """Refuses what COM says did not work."""
    if result < 0:
        sys.exit(f"dxc.py: {what} failed with {result & 0xFFFFFFFF:#x}")


def text(blob):
    """The bytes of a blob, as text."""
    table = ctypes.cast(blob, POINTER(POINTER(c_void_p))).contents
    pointer = ctypes.CFUNCTYPE(c_void_p, c_void_p)(table[5])(blob)
    size = ctypes.CFUNCTYPE(c_size_t, c_void_p)(table[6])(blob)
    return ctypes.string_at(pointer, size).decode(errors="replace").strip("\0\n")


def compile_file(compiler, path):
    """What DXC has against a file; None where it compiles."""
    with open(path, "rb") as file:
        source = file.read()
    memory = ctypes.create_string_buffer(source, len(source))
    buffer = Buffer(ctypes.cast(memory, c_void_p), len(source), UTF8)
    arguments = (c_wchar_p * len(ARGUMENTS))(*ARGUMENTS)
    result = c_void_p()
    compile3 = method(compiler, 0, POINTER(Buffer), POINTER(c_wchar_p), c_uint32, c_void_p, c_void_p, POINTER(c_void_p))
    check(compile3(byref(buffer), arguments, len(ARGUMENTS), None, IRESULT.bytes_le, byref(result)), "Compile")
    status, errors = c_int32(), c_void_p()
    check(method(result, 0, POINTER(c_int32))(byref(status)), "GetStatus")
    if status.value >= 0:
        return None
    check(method(result, 2, POINTER(c_void_p))(byref(errors)), "GetErrorBuffer")
    return text(errors)


def main():
    library, *paths = sys.argv[1:]
    if not paths:
        sys.exit("dxc.py: no files to compile")
    compiler = c_void_p()
    create = ctypes.CDLL(library).DxcCreateInstance
    create.argtypes = [ctypes.c_char_p, ctypes.c_char_p, POINTER(c_void_p)]
    create.restype = c_int32
    check(create(COMPILER.bytes_le, ICOMPILER3.bytes_le, byref(compiler)), "DxcCreateInstance")
    refused = [(path, fault) for path in paths if (fault := compile_file(compiler, path))]
    for path, fault in refused:
        print(f"{path}:\n{fault}")
    print(f"DXC: {len(paths) - len(refused)} of {len(paths)} files compile")
    sys.exit(1 if refused else 0)


main()
