// Power cuts in front of every change of the disk in a run that does everything a store can do:
// what is found is the state after some commit, to the byte, and not before the last one that was
// durable.
//
// A run is made once on a disk that remembers its changes. After each step the whole state is
// written down as text, and how far the store said that it was durable.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <deque>
#include <iostream>
#include <map>

#include "engine/embedded_store.h"
#include "fixtures/journal_disk.h"

namespace sluice::engine {
namespace {

using stream::Condition;
using stream::ConditionKind;
using stream::Effect;
using stream::EffectKind;
using stream::Fields;
using stream::Unit;
using testing::JournalDisk;

constexpr const char* kPath = "/store";

// SLUICE_CRASH_POINTS=all: a longer run, and every kind of loss at every change.
bool is_thorough() {
  const char* wanted = std::getenv("SLUICE_CRASH_POINTS");
  return wanted != nullptr && std::string_view(wanted) == "all";
}

Options options_of(Durability durability) {
  Options options;
  options.durability = durability;
  options.background = false;
  options.segment_bytes = 4096;
  options.checkpoint_bytes = 8192;
  options.unsynced_bytes_max = 4096;
  options.cache_bytes = 0;
  return options;
}

// Everything that can be asked, as text.
std::string state_of(const EmbeddedStore& store) {
  std::string text;
  for (const stream::StreamInfo& info : store.streams()) {
    text += fmt::format("stream {} added {}\n", info.name, info.entries_added);
    const auto entries = store.range(info.id, {}, 100'000);
    if (!entries) return "unreadable: " + entries.status().text();
    for (const stream::Entry& entry : *entries)
      text += entry.id.text() + " " + std::string(entry.fields.find("n").value_or("")) + "\n";
    for (const stream::GroupInfo& group : info.groups) {
      text += fmt::format("group {} lag {}\n", group.name, store.lag(group.id));
      const auto pending = store.pending_entries(group.id, 100'000);
      if (!pending) return "unreadable: " + pending.status().text();
      for (const stream::PendingInfo& one : *pending)
        text += fmt::format("pending {} {} {}\n", one.id.text(), one.consumer, one.delivery_count);
    }
  }
  const Status scanned = store.scan("", [&](std::string_view key, const stream::KeyValue& value) {
    text += fmt::format("key {} {} {}\n", key, value.bytes, value.expires_ms);
    return true;
  });
  if (!scanned) return "unreadable: " + scanned.text();
  const auto count = store.counter("count");
  return text + fmt::format("counter {}\n", count ? *count : -1);
}

class PowerLoss : public ::testing::TestWithParam<Durability> {
 protected:
  // How far one change of the disk had come.
  struct Step {
    size_t changes;             // of the disk, when it was over
    stream::CommitSeq last;     // commits written
    stream::CommitSeq durable;  // of these, said to be durable
  };

  void run() {
    auto opened = EmbeddedStore::open(kPath, options_of(GetParam()), disk_, clock_);
    ASSERT_TRUE(opened) << opened.status().text();
    EmbeddedStore& store = **opened;
    note(store);
    const stream::StreamId jobs = *store.open_stream("jobs", {.keep = 5});
    note(store);
    const stream::StreamId all = *store.open_stream("all", {.keep = 20});
    note(store);
    const stream::GroupId group = *store.open_group(jobs, "g", stream::GroupStart::kBeginning);
    note(store);
    SeededRandom random(7);
    const int steps = is_thorough() ? 150 : 60;
    for (int n = 0; n < steps; ++n) {
      clock_.advance(std::chrono::milliseconds(1 + random.next() % 4));
      step(store, n, jobs, all, group, random);
      note(store);
      if (n % 25 == 24) {
        ASSERT_TRUE(store.flush(store.last_commit()));
        note(store);
      }
    }
    EXPECT_GE(segments_removed(), 1u);
    // What closing writes is not part of it.
  }

  void note(const EmbeddedStore& store) {
    states_[store.last_commit()] = state_of(store);
    steps_.push_back({disk_.changes(), store.last_commit(), store.durable()});
  }

  // Appends, reserves and sets keys; every third time takes entries, which are acked six steps
  // later.
  void step(EmbeddedStore& store, int n, stream::StreamId jobs, stream::StreamId all,
            stream::GroupId group, Random& random) {
    const std::string text = std::to_string(n), key = "k" + std::to_string(n % 17);
    const Fields fields{{"n", text}, {"fill", std::string(random.next() % 700, 'x')}};
    std::vector<Unit> units(1);
    for (const stream::StreamId stream : {jobs, all}) {
      Effect& emit = units[0].effects.emplace_back();
      emit.stream = stream;
      emit.bytes = fields.encoded();
    }
    Effect& put = units[0].effects.emplace_back();
    put.kind = EffectKind::kPut;
    put.key = key;
    put.bytes = text;
    if (n % 2 == 0) put.ttl = stream::milliseconds(20);
    Condition& reserve = units[0].conditions.emplace_back();
    reserve.kind = ConditionKind::kReserve;
    reserve.key = "count";
    reserve.amount = 1;
    reserve.limit = 1'000'000;
    reserve.window.kind = stream::WindowKind::kSliding;
    reserve.window.length = stream::milliseconds(50);
    for (; !taken_.empty() && taken_.front().first + 5 < n; taken_.pop_front()) {
      Unit& ack = units.emplace_back();
      ack.group = group;
      ack.entry = taken_.front().second;
    }
    const stream::ReadRequest next{group, "c", 4};
    const auto done = store.commit(units, n % 3 == 0 ? &next : nullptr);
    ASSERT_TRUE(done) << done.status().text();
    if (GetParam() == Durability::kCommit) {
      ASSERT_EQ(store.durable(), done->seq);
    }
    for (const stream::Delivery& delivery : done->next) taken_.emplace_back(n, delivery.entry.id);
    if (n % 30 != 29) return;
    note(store);
    ASSERT_TRUE(store.claim({group, "d", 2}, stream::milliseconds(0), {}));
  }

  size_t segments_removed() {
    const auto names = disk_.list(kPath);
    size_t first = 1;
    for (const std::string& name : *names) {
      if (!name.starts_with("segment-")) continue;
      first = std::stoul(name.substr(8, 10));
      break;
    }
    return first - 1;
  }

  // Of the commits that began before change `cut`.
  stream::CommitSeq durable_before(size_t cut) const {
    stream::CommitSeq durable = 0;
    for (const Step& step : steps_)
      if (step.changes <= cut) durable = step.durable;
    return durable;
  }

  void check(size_t cut, JournalDisk::Loss loss, size_t sector, Random& random) {
    SCOPED_TRACE(fmt::format("cut {} loss {} sector {}", cut, static_cast<int>(loss), sector));
    const auto disk = disk_.after_cut(cut, loss, sector, random);
    // Stands at the time of the last commit that is found.
    ManualClock clock;
    auto opened = EmbeddedStore::open(kPath, options_of(GetParam()), *disk, clock);
    ASSERT_TRUE(opened) << opened.status().text();
    const stream::CommitSeq found = (*opened)->last_commit();
    ASSERT_GE(found, durable_before(cut)) << "lost what was durable";
    if (found == 0) return;
    const auto expected = states_.find(found);
    if (expected == states_.end()) {
      ADD_FAILURE() << "there is no state after commit " << found;
      return;
    }
    clock.advance_to((*opened)->last_commit_time());
    ASSERT_EQ(state_of(**opened), expected->second) << "after commit " << found;
    ++found_;
    if (cut % 5 != 0) return;
    // It goes on from there, and starts once more.
    ASSERT_TRUE((*opened)->open_stream("more", {}));
    const std::string more = state_of(**opened);
    opened->reset();
    const auto again = EmbeddedStore::open(kPath, options_of(GetParam()), *disk, clock);
    ASSERT_TRUE(again) << again.status().text();
    ASSERT_EQ(state_of(**again), more);
  }

  JournalDisk disk_;
  ManualClock clock_{from_ms(1'700'000'000'000)};
  std::deque<std::pair<int, EntryId>> taken_;  // in which step
  std::vector<Step> steps_;
  std::map<stream::CommitSeq, std::string> states_;
  size_t found_ = 0;
};

TEST_P(PowerLoss, ACutAtAnyChangeLeavesAPrefixWithAllThatWasDurable) {
  run();
  const size_t last = steps_.back().changes;
  SeededRandom random(1);
  size_t cuts = 0;
  for (size_t cut = 0; cut <= last; ++cut) {
    check(cut, JournalDisk::Loss::kAll, 512, random);
    ++cuts;
    for (const size_t sector : {512, 4096}) {
      if (!is_thorough() && cut % 4 != 0) continue;
      check(cut, JournalDisk::Loss::kTail, sector, random);
      check(cut, JournalDisk::Loss::kScatter, sector, random);
      cuts += 2;
    }
    if (HasFailure()) return;
  }
  std::cout << "power cuts: " << cuts << " at " << last << " changes of the disk, " << found_
            << " with commits\n";
  EXPECT_GT(last, 300u);
}

std::string durability_name(Durability durability) {
  if (durability == Durability::kCommit) return "commit";
  return durability == Durability::kGroup ? "group" : "os";
}

INSTANTIATE_TEST_SUITE_P(EachDurability, PowerLoss,
                         ::testing::Values(Durability::kCommit, Durability::kGroup,
                                           Durability::kOs),
                         [](const auto& one) { return durability_name(one.param); });

// After a failed sync the system calls clean what the device does not have. The next start reads it
// and builds on it, so it has to bring it there.
TEST(FailedSync, WhatTheDeviceLostIsWrittenOnceMoreByTheNextStart) {
  for (const Durability durability : {Durability::kCommit, Durability::kGroup}) {
    JournalDisk disk;
    ManualClock clock(from_ms(1'700'000'000'000));
    const auto append = [&](EmbeddedStore& store, int n) {
      const Fields fields{{"n", std::to_string(n)}, {"fill", std::string(900, 'x')}};
      Unit unit;
      unit.effects.resize(1);
      unit.effects[0].stream = *store.open_stream("s", {});
      unit.effects[0].bytes = fields.encoded();
      SLUICE_TRY(store.commit({&unit, 1}, nullptr).status());
      return store.flush(store.last_commit());
    };
    {
      const auto store = EmbeddedStore::open(kPath, options_of(durability), disk, clock);
      ASSERT_TRUE(store) << store.status().text();
      for (int n = 0; n < 5; ++n) ASSERT_TRUE(append(**store, n));
      disk.fail_next_sync();
      ASSERT_EQ(append(**store, 5).code(), Code::kIo);
    }
    {
      const auto store = EmbeddedStore::open(kPath, options_of(durability), disk, clock);
      ASSERT_TRUE(store) << store.status().text();
      ASSERT_TRUE(append(**store, 6));
    }
    SeededRandom random(1);
    const auto left = disk.after_cut(disk.changes(), JournalDisk::Loss::kAll, 512, random);
    const auto store = EmbeddedStore::open(kPath, options_of(durability), *left, clock);
    ASSERT_TRUE(store) << store.status().text();
    const auto entries = (*store)->range((*store)->find_stream("s"), {}, 100);
    ASSERT_TRUE(entries) << entries.status().text();
    ASSERT_FALSE(entries->empty());
    EXPECT_EQ(entries->back().fields.find("n"), "6");
  }
}

}  // namespace
}  // namespace sluice::engine
