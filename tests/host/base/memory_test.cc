#include "base/memory.h"

#include <gtest/gtest.h>

#include <new>

namespace sluice {
namespace {

// What `new` does when there is no memory.
void find_none() { std::get_new_handler()(); }

TEST(EndWhenOutOfMemory, TheProcessEndsWithTheCodeAndOneLine) {
  const auto run = [] {
    end_when_out_of_memory(6);
    find_none();
  };
  EXPECT_EXIT(run(), testing::ExitedWithCode(6), "^error: out of memory; [^\n]*\n$");
}

TEST(EndWhenOutOfMemory, WhoMayRunOutGetsTheExceptionAndNobodyElseAfterwards) {
  const auto run = [] {
    end_when_out_of_memory(6);
    try {
      const MayRunOut plugin;
      find_none();
    } catch (const std::bad_alloc&) {
      find_none();
    }
  };
  EXPECT_EXIT(run(), testing::ExitedWithCode(6), "out of memory");
}

TEST(EndWhenOutOfMemory, AnExceptionThatNobodyMayCatchEndsTheProcessAsWell) {
  const auto run = []() noexcept {
    end_when_out_of_memory(6);
    const MayRunOut plugin;
    find_none();
  };
  EXPECT_EXIT(run(), testing::ExitedWithCode(6), "out of memory");
}

TEST(FoundNoMemory, EndsTheProcessOnlyWhereThatWasAskedFor) {
  found_no_memory();
  const auto run = [] {
    end_when_out_of_memory(6);
    const MayRunOut plugin;
    found_no_memory();
  };
  EXPECT_EXIT(run(), testing::ExitedWithCode(6), "out of memory");
}

}  // namespace
}  // namespace sluice
