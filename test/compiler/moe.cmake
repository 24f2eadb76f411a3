# Mixtures of experts from a model folder to logits.
add_executable(llmc_moe_test ${CMAKE_CURRENT_LIST_DIR}/MoeTest.cpp)
target_link_libraries(llmc_moe_test PRIVATE llmc_compiler GTest::gtest GTest::gtest_main)
add_test(NAME llmc_moe_test COMMAND llmc_moe_test)
