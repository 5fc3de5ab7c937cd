# Tests of plugins/execution and of p33's snapshot source. Paths are absolute: the file is included.
find_package(rapidcheck REQUIRED)
sluice_add_test(paper_exchange_test ${CMAKE_CURRENT_LIST_DIR}/paper_exchange_test.cc
  LINK sluice_paper_exchange rapidcheck Threads::Threads)
if(TARGET sluice_p33_snapshot)
  sluice_add_test(execution_test ${CMAKE_CURRENT_LIST_DIR}/execution_test.cc
    LINK sluice_execution_stage sluice_p33_snapshot)
endif()
