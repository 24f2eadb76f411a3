# The Xbyak emitters of the rowwise and attention families, run on this machine and compared with the scalar references.
add_executable(llmc_rows_test
  ${CMAKE_CURRENT_LIST_DIR}/AttentionStep.cpp
  ${CMAKE_CURRENT_LIST_DIR}/AttentionTest.cpp
  ${CMAKE_CURRENT_LIST_DIR}/Rows16Test.cpp
  ${CMAKE_CURRENT_LIST_DIR}/RowwiseTest.cpp
  ${CMAKE_CURRENT_LIST_DIR}/../../compiler/NativeTarget.cpp
)
target_link_libraries(llmc_rows_test PRIVATE llmc_isa_emulator llmc_codegen MLIR LLVM GTest::gtest GTest::gtest_main)
add_test(NAME llmc_rows_test COMMAND llmc_rows_test)
