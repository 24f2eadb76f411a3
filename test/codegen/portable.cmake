# The portable kernels, compiled by LLVM for several CPUs and compared with the scalar references.
add_executable(llmc_portable_test
  ${CMAKE_CURRENT_LIST_DIR}/AttentionStep.cpp
  ${CMAKE_CURRENT_LIST_DIR}/LayerNormTest.cpp
  ${CMAKE_CURRENT_LIST_DIR}/MoeTest.cpp
  ${CMAKE_CURRENT_LIST_DIR}/PortableAArch64Test.cpp
  ${CMAKE_CURRENT_LIST_DIR}/PortableAttentionTest.cpp
  ${CMAKE_CURRENT_LIST_DIR}/PortableMatmulTest.cpp
  ${CMAKE_CURRENT_LIST_DIR}/PortableRowwiseTest.cpp
  ${CMAKE_CURRENT_LIST_DIR}/../../compiler/NativeTarget.cpp
)
target_link_libraries(llmc_portable_test PRIVATE llmc_codegen MLIR LLVM GTest::gtest GTest::gtest_main)
add_test(NAME llmc_portable_test COMMAND llmc_portable_test)
target_compile_definitions(llmc_portable_test PRIVATE LLMC_PORTABLE_DRIVER="${CMAKE_CURRENT_LIST_DIR}/PortableDriver.c")
