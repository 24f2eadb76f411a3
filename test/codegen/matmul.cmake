# The Xbyak emitters of the matmul family, run on this machine and compared with the scalar reference; the packing.
add_executable(llmc_matmul_test
  ${CMAKE_CURRENT_LIST_DIR}/MatmulAmxTest.cpp
  ${CMAKE_CURRENT_LIST_DIR}/MatmulCase.cpp
  ${CMAKE_CURRENT_LIST_DIR}/MatmulEpilogueTest.cpp
  ${CMAKE_CURRENT_LIST_DIR}/MatmulPropertyTest.cpp
  ${CMAKE_CURRENT_LIST_DIR}/MatmulRequantisedTest.cpp
  ${CMAKE_CURRENT_LIST_DIR}/MatmulRows16Test.cpp
  ${CMAKE_CURRENT_LIST_DIR}/MatmulTest.cpp
  ${CMAKE_CURRENT_LIST_DIR}/RequantiseTest.cpp
  ${CMAKE_CURRENT_LIST_DIR}/../../compiler/NativeTarget.cpp
)
target_link_libraries(llmc_matmul_test PRIVATE llmc_isa_emulator llmc_codegen MLIR LLVM GTest::gtest GTest::gtest_main)
add_test(NAME llmc_matmul_test COMMAND llmc_matmul_test)
