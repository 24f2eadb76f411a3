# The weight program: packed bytes, threads, memory, messages.
add_executable(llmc_weights_test
  ${CMAKE_CURRENT_LIST_DIR}/GatheredWeightTest.cpp
  ${CMAKE_CURRENT_LIST_DIR}/WeightMemoryTest.cpp
  ${CMAKE_CURRENT_LIST_DIR}/WeightProgramTest.cpp
  ${CMAKE_CURRENT_LIST_DIR}/WeightSinkTest.cpp
)
target_link_libraries(llmc_weights_test PRIVATE llmc_compiler GTest::gtest GTest::gtest_main)
add_test(NAME llmc_weights_test COMMAND llmc_weights_test)
