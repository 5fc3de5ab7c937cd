#include "runtime/input.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/memory_disk.h"
#include "engine/embedded_store.h"

namespace sluice::runtime {
namespace {

// Standard input as a pipe that a producer keeps open.
class OpenPipe {
 public:
  OpenPipe() : stdin_(dup(STDIN_FILENO)) {
    int ends[2];
    EXPECT_EQ(pipe(ends), 0);
    dup2(ends[0], STDIN_FILENO);
    close(ends[0]);
    end_ = ends[1];
  }
  ~OpenPipe() {
    close(end_);
    dup2(stdin_, STDIN_FILENO);
    close(stdin_);
  }
  void write(std::string_view text) const {
    EXPECT_EQ(::write(end_, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }

 private:
  const int stdin_;
  int end_ = -1;
};

TEST(InputStep, LinesOfAnOpenPipeEnterAsTheyCome) {
  MemoryDisk disk;
  const ManualClock clock(from_ms(1'700'000'000'000));
  engine::Options options;
  options.background = false;
  auto store = engine::EmbeddedStore::open("/store", options, disk, clock);
  ASSERT_TRUE(store) << store.status().text();
  graph::StreamSpec spec;
  spec.key = spec.name = "in";
  const auto stream = (*store)->open_stream("in", {});
  ASSERT_TRUE(stream);
  const OpenPipe pipe;
  pipe.write("{\"n\":1}\n");
  auto input = Input::open(**store, clock, disk, nullptr, {&spec, *stream, *stream, {}}, "-");
  ASSERT_TRUE(input) << input.status().text();
  EXPECT_TRUE((*input)->step().worked);
  EXPECT_EQ((*store)->length(*stream), 1u);
  EXPECT_FALSE((*input)->step().worked) << "nothing has come, and nothing waits for it";
  pipe.write("{\"n\":2}\n{\"n\":3}\n");
  EXPECT_TRUE((*input)->step().worked);
  EXPECT_EQ((*store)->length(*stream), 3u);
  EXPECT_FALSE((*input)->done());
}

}  // namespace
}  // namespace sluice::runtime
