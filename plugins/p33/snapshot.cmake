# The snapshot source reads the paper exchange's journal with its own copy of the library.
add_library(sluice_p33_snapshot STATIC snapshot.cc)
target_link_libraries(sluice_p33_snapshot PUBLIC sluice_trade sluice_paper_exchange
  PRIVATE sluice_warnings)
