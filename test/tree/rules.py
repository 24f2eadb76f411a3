"""The rules of this tree, as data; check.py applies them."""

# Which folders each folder may include, the longest prefix counts. "." is the folder itself and those below it. Plain
# names: folders or files of this tree; llvm/, mlir/ and lld/ are libraries. CONTRIBUTING.md has the reasons.
PASSES = (".", "passes/Passes.h", "passes/Passes.h.inc", "passes/support", "dialects", "mlir", "llvm", "llmc_kernel.h")
CODEGEN_DATA = ("codegen/Target.h", "codegen/Descriptor.h", "codegen/Kernel.h", "llmc_kernel.h")
FRONTEND = (".", "frontends/File.h", "frontends/ImportedModel.h", "dialects", "mlir", "llvm")
MAY_INCLUDE = {
    "dialects": (".", "llmc_kernel.h", "mlir", "llvm"),
    "passes": (*PASSES, "codegen/Descriptor.h"),
    "passes/raise": PASSES,
    "passes/quantize": PASSES,
    "passes/fuse": PASSES,
    # Sizes of packed weights and activation rows are facts of their layout, which Descriptor.h defines.
    "passes/layout": (*PASSES, "codegen/Descriptor.h"),
    "passes/bufferize": (*PASSES, "codegen/Descriptor.h"),
    "passes/support": (*PASSES, "codegen/Descriptor.h"),
    "passes/select": (*PASSES, *CODEGEN_DATA),
    "passes/lower": (*PASSES, *CODEGEN_DATA),
    "codegen": (".", "llmc_kernel.h", "llvm/Support", "llvm/ADT", "xbyak"),
    # The tables have rows of emitters and of the portable family.
    "codegen/kernels": ("codegen", "llmc_kernel.h", "llvm/Support", "llvm/ADT", "xbyak"),
    "codegen/x64": ("codegen", "llvm/Support", "llvm/ADT", "xbyak"),
    "codegen/portable": ("codegen", "llmc_kernel.h", "llvm", "mlir"),
    "frontends": (".", "mlir", "llvm"),
    "frontends/text": (".", "llmc_text.h", "llvm"),
    "frontends/hf": FRONTEND,
    "frontends/gguf": FRONTEND,
    "frontends/onnx": FRONTEND,
    "runtime": (".", "llmc.h", "llmc_kernel.h", "llmc_artifact.h", "internal.h"),
    "compiler": (".", "passes", "dialects", "codegen", "frontends", "runtime/RuntimeObjects.h", "llmc.h", "llmc_kernel.h",
                 "llmc_artifact.h", "llvm", "mlir", "lld"),
}
# Headers in angle brackets that belong to one place; all others are the language's, the system's or a parser's.
ANGLES = {"xbyak/": ("codegen/x64",), "onnx/": ("frontends/onnx",), "CLI/": ("tools",)}

# Never in the tree: machines' own paths and registries' hosts (Cargo.lock names its registry by definition). Regular
# expressions; "somebody" is nobody's machine.
FORBIDDEN_TEXT = (r"/home/(?!somebody)\w", r"/root/\w", r"/work/\w", r"huggingface\.co", r"pypi\.org", r"registry\.npmjs",
                  r"files\.pythonhosted", r"static\.crates\.io")
FORBIDDEN_EXEMPT = ("frontends/text/Cargo.lock", "test/data/", "test/tree/rules.py")

# Lines of a file; a table or a generated file may be longer.
LONGEST = 450
LONGER = ()
