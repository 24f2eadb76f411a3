"""lit: {passes,dialects}/**/*.mlir, tools/**/*.test and compiler/**/*.test. Run `lit-22 build/test`, or one file of it:
`lit-22 -v build/test --filter fuse-qkv`. lit.site.cfg.py in the build folder says where the tools are."""
import os

import lit.formats

config.name = "llmc"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".test"]
config.excludes = ["data", "Inputs"]
config.test_source_root = os.path.dirname(__file__)
config.test_exec_root = config.llmc_test_output

config.substitutions += [
    ("%llmc-opt", os.path.join(config.llmc_bin, "llmc-opt")),
    ("%llmc-kernel", os.path.join(config.llmc_bin, "llmc-kernel")),
    ("%llmc", os.path.join(config.llmc_bin, "llmc")),
    ("%status", "sh " + os.path.join(config.test_source_root, "tools", "Inputs", "status.sh")),
    ("%data", os.path.join(config.test_source_root, "data")),
]
# The plain names work as well: our tools, then FileCheck, not and count of this LLVM.
config.environment["PATH"] = os.pathsep.join([config.llmc_bin, config.llvm_bin, os.environ["PATH"]])
