// A store in a folder of its own, filled by the test in a few words.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>

#include "base/disk.h"
#include "engine/embedded_store.h"
#include "stream/store.h"

namespace sluice::cli {

class StoreTest : public ::testing::Test {
 protected:
  StoreTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "sluice-cli-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
  }
  ~StoreTest() override {
    store_.reset();
    std::filesystem::remove_all(folder_);
  }

  std::string path(const std::string& name) const { return folder_ + '/' + name; }

  void open() {
    engine::Options options;
    options.durability = engine::Durability::kCommit;
    auto opened = engine::EmbeddedStore::open(path("store"), options, system_disk(), clock_);
    ASSERT_TRUE(opened) << opened.status().text();
    store_ = std::move(*opened);
  }
  void close() { store_.reset(); }

  stream::StreamId stream(const std::string& name) {
    auto id = store_->open_stream(name, {});
    EXPECT_TRUE(id) << id.status().text();
    return *id;
  }

  EntryId append(const std::string& stream_name, const stream::Fields& fields) {
    stream::Unit unit;
    stream::Effect emit;
    emit.stream = stream(stream_name);
    emit.bytes = fields.encoded();
    unit.effects = {emit};
    auto result = store_->commit({&unit, 1});
    EXPECT_TRUE(result) << result.status().text();
    return result->outcomes.at(0).emitted.at(0);
  }

  // A dead letter on `dead` of an entry {symbol} that came from `origin`.
  EntryId append_dead(const std::string& reason, const std::string& symbol,
                      const std::string& origin = "intents", const std::string& stage = "router") {
    return append("dead", {{"symbol", symbol},
                           {"sluice.stage", stage},
                           {"sluice.reason", reason},
                           {"sluice.detail", "field \"symbol\": value \"" + symbol + "\""},
                           {"sluice.stream", origin},
                           {"sluice.id", "1700000000000-1"},
                           {"sluice.deliveries", "1"},
                           {"sluice.at", "1700000000000000"}});
  }

  std::vector<stream::Entry> entries(const std::string& stream_name) {
    auto range = store_->range(store_->find_stream(stream_name), {}, 10'000);
    EXPECT_TRUE(range) << range.status().text();
    return std::move(*range);
  }

  ManualClock clock_{from_ms(1'700'000'000'000)};
  std::string folder_;
  std::unique_ptr<stream::Store> store_;
};

}  // namespace sluice::cli
