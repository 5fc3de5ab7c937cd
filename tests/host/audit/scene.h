// The trade pipeline's streams and keys, written by hand: a store in memory in which the test says
// what happened.
//
// Every part a builder writes is sound; a test breaks one thing and looks for it.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "audit/audit.h"
#include "base/memory_disk.h"
#include "engine/embedded_store.h"
#include "graph/pipeline.h"
#include "policy/policy.h"
#include "runtime/dead_letter.h"
#include "runtime/operator_command.h"

namespace sluice::audit {

using Changes = std::map<std::string, std::string>;  // fields that replace the sound ones

struct TradePipeline {
  std::unique_ptr<plugin::Catalog> catalog;
  std::unique_ptr<graph::Pipeline> pipeline;
};

// A shipped file. The folder of its store does not exist.
inline TradePipeline load_shipped(const std::string& name) {
  TradePipeline made;
  auto scanned = plugin::Catalog::scan(SLUICE_BINARY_DIR "/plugins");
  EXPECT_TRUE(scanned) << scanned.status().text();
  made.catalog = std::make_unique<plugin::Catalog>(std::move(*scanned));
  graph::LoadOptions options;
  options.environment = std::map<std::string, std::string>{{"SLUICE_DATA", "/tmp/sluice-none"}};
  auto result =
      graph::load_pipeline(SLUICE_SOURCE_DIR "/pipelines/" + name, *made.catalog, options);
  std::string findings;
  for (const graph::Finding& finding : result.findings) findings += finding_text(finding);
  EXPECT_TRUE(result.pipeline.has_value()) << findings;
  made.pipeline = std::make_unique<graph::Pipeline>(std::move(*result.pipeline));
  return made;
}

// Each loaded once.
inline const graph::Pipeline& trade_pipeline() {
  static const TradePipeline loaded = load_shipped("trade.yaml");
  return *loaded.pipeline;
}
inline const graph::Pipeline& reference_pipeline() {
  static const TradePipeline loaded = load_shipped("reference.yaml");
  return *loaded.pipeline;
}

class Scene : public ::testing::Test {
 protected:
  explicit Scene(const graph::Pipeline& pipeline = trade_pipeline()) : pipeline_(pipeline) {
    engine::Options options;
    options.durability = engine::Durability::kOs;
    options.background = false;
    auto opened = engine::EmbeddedStore::open("store", options, disk_, clock_);
    EXPECT_TRUE(opened) << opened.status().text();
    store_ = std::move(*opened);
    for (const graph::StreamSpec& spec : pipeline_.streams)
      EXPECT_TRUE(store_->open_stream(spec.name, {spec.keep, false}));
    for (const graph::StageSpec& stage : pipeline_.stages)
      if (stage.kind->find_hook("limits") != nullptr) governor_version_ = version_of(stage);
  }

  // --- Writing

  EntryId append(const std::string& key, const Changes& fields) {
    stream::Fields encoded;
    for (const auto& [name, value] : fields) encoded.add(name, value);
    return append_to(pipeline_.find_stream(key)->name, encoded);
  }
  EntryId append_to(const std::string& name, const stream::Fields& fields) {
    stream::Unit unit;
    stream::Effect emit;
    emit.stream = store_->find_stream(name);
    emit.bytes = fields.encoded();
    unit.effects = {emit};
    auto done = store_->commit({&unit, 1});
    EXPECT_TRUE(done) << done.status().text();
    return done->outcomes.at(0).emitted.at(0);
  }

  void put(const std::string& key, const std::string& text) {
    change_key(stream::EffectKind::kPut, key, text);
  }
  void put_fields(const std::string& key, const stream::Fields& fields) {
    change_key(stream::EffectKind::kPutFields, key, fields.encoded());
  }

  void command(const std::string& what, const std::string& symbol = {},
               const std::string& amount = {}) {
    const Status done = runtime::apply_command(
        *store_, {what, symbol, amount, "test", "tester", 1, "id-" + std::to_string(++commands_)});
    EXPECT_TRUE(done.is_ok()) << done.text();
  }

  static std::string with(std::string text, const Changes& changes) {
    for (const auto& [from, to] : changes)
      if (const size_t at = text.find(from); at != std::string::npos)
        text.replace(at, from.size(), to);
    return text;
  }
  static Changes merged(Changes fields, const Changes& changes) {
    for (const auto& [name, value] : changes) fields[name] = value;
    return fields;
  }

  // --- A decision and what becomes of it

  std::string decide() { return append("decisions", {{"symbol", "BTCUSDT"}}).text(); }

  std::string intend(const std::string& decision) {
    return append("intents", {{"decision_id", decision}}).text();
  }
  void plan(const std::string& plan_id, const std::string& decision, const std::string& intent,
            const Changes& changes = {}) {
    append("plans", merged({{"plan_id", plan_id},
                            {"plan_hash", "hash-" + plan_id},
                            {"decision", "EXECUTE"},
                            {"decision_id", decision},
                            {"intent_id", intent},
                            {"created_us", now_us()}},
                           changes));
  }

  std::string now_us(int64_t plus_seconds = 0) const {
    return std::to_string(to_us(clock_.now()) + plus_seconds * 1'000'000);
  }

  std::string share(const std::string& counter, const std::string& amount) const {
    return R"({"counter": ")" + counter + R"(", "amount": )" + amount + R"(, "at_us": )" +
           now_us() + "}";
  }
  std::string governor_permit(const std::string& plan_id) const {
    const std::string day = "2025-12-15";
    return R"({"granted": true, "symbol": "BTCUSDT", "plan_id": ")" + plan_id +
           R"(", "plan_hash": "hash-)" + plan_id + R"(", "valid_until_us": )" + now_us(60) +
           R"(, "policy": ")" + governor_version_ + R"(", "reservations": [)" +
           share("quantum:governor:rate:hour:BTCUSDT", "1") + ", " +
           share("quantum:governor:daily:BTCUSDT:" + day, "9000000000") + "]}";
  }
  std::string p33_permit(const std::string& plan_id) const {
    return R"({"allow": true, "symbol": "BTCUSDT", "plan_id": ")" + plan_id +
           R"(", "plan_hash": "hash-)" + plan_id + R"(", "side": "BUY", "safe_qty": 0.001, )" +
           R"("valid_until_us": )" + now_us(60) + "}";
  }

  EntryId order(const std::string& plan_id, const std::string& decision,
                const Changes& changes = {}) {
    for (const char* permit : {"governor", "p33"})
      append("permits", {{"event", "consumed"}, {"permit", permit}, {"plan_id", plan_id}});
    return append("orders", merged({{"plan_id", plan_id},
                                    {"plan_hash", "hash-" + plan_id},
                                    {"leg", "0"},
                                    {"client_order_id", "sl1-" + plan_id},
                                    {"symbol", "BTCUSDT"},
                                    {"side", "BUY"},
                                    {"type", "MARKET"},
                                    {"quantity", "0.001"},
                                    {"created_us", now_us()},
                                    {"governor_permit", governor_permit(plan_id)},
                                    {"p33_permit", p33_permit(plan_id)},
                                    {"decision_id", decision}},
                                   changes));
  }
  EntryId fill(const std::string& plan_id, const std::string& decision,
               const Changes& changes = {}) {
    const Changes result = merged({{"plan_id", plan_id},
                                   {"client_order_id", "sl1-" + plan_id},
                                   {"symbol", "BTCUSDT"},
                                   {"side", "BUY"},
                                   {"status", "FILLED"},
                                   {"executed_qty", "0.001"},
                                   {"sent_us", now_us()},
                                   {"result_us", now_us()},
                                   {"decision_id", decision}},
                                  changes);
    // The plan's record in the stream of outcomes, as apply.result makes it.
    append("outcomes",
           merged(result,
                  {{"state", result.at("status")}, {"decision", "EXECUTE"}, {"executed", "True"}}));
    return append("results", result);
  }

  // Everything up to the order, of a decision of its own; gives the decision's id.
  std::string up_to_order(const std::string& plan_id, const Changes& changes = {}) {
    const std::string decision = decide();
    plan(plan_id, decision, intend(decision));
    order(plan_id, decision, changes);
    return decision;
  }
  std::string whole(const std::string& plan_id, const Changes& order_changes = {},
                    const Changes& fill_changes = {}) {
    const std::string decision = up_to_order(plan_id, order_changes);
    fill(plan_id, decision, fill_changes);
    return decision;
  }

  void books(const std::string& ledger, const std::string& position) {
    put_fields("quantum:position:ledger:BTCUSDT", {{"last_known_amt", ledger}});
    put_fields("quantum:position:snapshot:BTCUSDT",
               {{"position_amt", position}, {"ts_us", now_us(1)}});
  }

  // --- Judging

  // Every stage has had everything; with `but`, the group of that stage has nothing.
  void rest(const std::string& but = {}) {
    for (const graph::StageSpec& stage : pipeline_.stages) {
      for (const graph::Wire& in : stage.inputs) {
        const stream::StreamId id = store_->find_stream(pipeline_.streams[in.stream].name);
        auto group = store_->open_group(id, stage.group, stream::GroupStart::kBeginning);
        ASSERT_TRUE(group);
        if (stage.name == but) continue;
        auto read = store_->read({*group, "c", 1000, 4 << 20});
        ASSERT_TRUE(read);
        std::vector<stream::Unit> acks;
        for (const stream::Delivery& delivery : *read) {
          stream::Unit unit;
          unit.group = *group;
          unit.entry = delivery.entry.id;
          acks.push_back(unit);
        }
        ASSERT_TRUE(store_->commit(acks));
      }
    }
  }

  Report judge() {
    auto report = audit(pipeline_, *store_);
    EXPECT_TRUE(report) << report.status().text();
    return report ? std::move(*report) : Report{};
  }
  Finding judge(int number) { return judge().findings.at(static_cast<size_t>(number - 1)); }

  // "subject: what" of each offence.
  static std::vector<std::string> offences(const Finding& finding) {
    std::vector<std::string> all;
    for (const Offence& offence : finding.offences)
      all.push_back(offence.subject + ": " + offence.what);
    return all;
  }

  static std::string version_of(const graph::StageSpec& stage) {
    auto script =
        policy::Script::load(stage.policy_path, stage.kind->hooks, policy::Limits{}, system_disk());
    EXPECT_TRUE(script) << script.status().text();
    return (*script)->version();
  }

  const graph::Pipeline& pipeline_;
  MemoryDisk disk_;
  ManualClock clock_{from_us(1'765'785'600'000'000)};  // 2025-12-15 08:00 UTC
  std::unique_ptr<stream::Store> store_;
  std::string governor_version_;
  int commands_ = 0;

 private:
  void change_key(stream::EffectKind kind, const std::string& key, const std::string& bytes) {
    stream::Unit unit;
    stream::Effect effect;
    effect.kind = kind;
    effect.key = key;
    effect.bytes = bytes;
    unit.effects = {effect};
    ASSERT_TRUE(store_->commit({&unit, 1}));
  }
};

}  // namespace sluice::audit
