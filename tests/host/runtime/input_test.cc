#include "runtime/input.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/memory_disk.h"
#include "engine/embedded_store.h"
#include "stream/forwarding_store.h"

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

// A store in memory with one stream, and a file to read into it.
class FileInput {
 public:
  explicit FileInput(std::string_view text) : clock_(from_ms(1'700'000'000'000)) {
    engine::Options options;
    options.background = false;
    store_ = std::move(engine::EmbeddedStore::open("/store", options, disk_, clock_).value());
    spec_.key = spec_.name = "in";
    stream_ = *store_->open_stream("in", {});
    dead_ = *store_->open_stream("dead", {});
    auto file = disk_.open("/in.ndjson", OpenMode::kCreate);
    EXPECT_TRUE((*file)->write(0, text).is_ok());
  }

  stream::Store& store() { return *store_; }

  // Reads the file into `store`.
  std::unique_ptr<Input> open(stream::Store& store) {
    auto input =
        Input::open(store, clock_, disk_, nullptr, {&spec_, stream_, dead_, {}}, "/in.ndjson");
    EXPECT_TRUE(input) << input.status().text();
    return std::move(input).value();
  }
  InputCounts read_all() {
    const auto input = open(*store_);
    while (!input->done()) EXPECT_TRUE(input->step().error.is_ok());
    return input->counts();
  }
  std::string detail_of_dead(size_t i) const {
    const auto letters = store_->range(dead_, {}, 100);
    return std::string(letters->at(i).fields.find("sluice.detail").value_or("none"));
  }

 private:
  MemoryDisk disk_;
  const ManualClock clock_;
  std::unique_ptr<engine::EmbeddedStore> store_;
  graph::StreamSpec spec_;
  stream::StreamId stream_ = 0, dead_ = 0;
};

// Looks at an input in the middle of its commits.
class Onlooker : public stream::ForwardingStore {
 public:
  explicit Onlooker(stream::Store& store) : ForwardingStore(store) {}
  Result<stream::CommitResult> commit(std::span<const stream::Unit> units,
                                      const stream::ReadRequest* next) override {
    EXPECT_FALSE(input->done());
    ++commits;
    return ForwardingStore::commit(units, next);
  }

  const Input* input = nullptr;
  int commits = 0;
};

// A run ends when its inputs are done and nothing is open.
TEST(InputDone, IsNotSaidBeforeTheLastLinesAreInTheStore) {
  FileInput file("{\"n\":1}\n{\"n\":2}\n");
  Onlooker store(file.store());
  auto input = file.open(store);
  store.input = input.get();
  while (!input->done()) EXPECT_TRUE(input->step().error.is_ok());
  EXPECT_EQ(store.commits, 1);
}

// The first line is held while the store is asked whether it knows the input.
TEST(InputStep, FirstLineThatIsTooLongIsADeadLetterWithItsSizeAndTheOthersEnter) {
  const std::string line = "{\"a\":\"" + std::string(10'000'000, 'x') + "\"}\n";
  FileInput input(line + "{\"n\":1}\n" + line + "{\"n\":2}\n");
  const InputCounts counts = input.read_all();
  EXPECT_EQ(counts.entries, 2u);
  EXPECT_EQ(counts.bad, 2u);
  EXPECT_EQ(counts.bytes, 2 * line.size() + 16);
  EXPECT_EQ(input.detail_of_dead(0), "line 1: 10000009 bytes, expected at most 1048576");
  EXPECT_EQ(input.detail_of_dead(1), "line 3: 10000009 bytes, expected at most 1048576");
}

TEST(InputStep, FirstLineOfExactlyTheMostEnters) {
  const std::string head = "{\"a\":\"", tail = "\"}";
  FileInput input(head + std::string(kLineBytesMax - head.size() - tail.size(), 'x') + tail + "\n");
  EXPECT_EQ(input.read_all().entries, 1u);
}

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
