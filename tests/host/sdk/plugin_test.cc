// The C++ header over the C table: each stage below is reached through the functions of its kind,
// as the host does it, with a host table that records what it was told.
#include "sluice/plugin.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

namespace {

using Calls = std::vector<std::string>;

std::string text(sluice_text raw) { return std::string(sluice::detail::view(raw)); }

// Records calls in the order they came. Fields of the entry and values under keys are maps.
class RecordingHost {
 public:
  RecordingHost() {
    host_.struct_size = sizeof host_;
    host_.field = [](void* call, sluice_text name, sluice_text* out) {
      return find(self(call).fields, name, out);
    };
    host_.get = [](void* call, sluice_text key, sluice_text* out) -> int32_t {
      if (self(call).values_on_their_way) return SLUICE_GET_PENDING;
      return find(self(call).values, key, out) != 0 ? SLUICE_GET_TEXT : SLUICE_GET_ABSENT;
    };
    host_.policy = [](void* call, sluice_text, const sluice_value*, size_t, sluice_value* results,
                      size_t count) -> int32_t {
      for (size_t i = 0; i < count; ++i) results[i].integer = 60'000'000 + static_cast<int64_t>(i);
      return self(call).policy_fails ? -1 : 0;
    };
    host_.emit = [](void* call, sluice_text port, const sluice_field*, size_t count) -> int32_t {
      self(call).say("emit " + text(port) + " " + std::to_string(count));
      return text(port) == "out" ? 0 : -1;
    };
    host_.claim = [](void* call, sluice_text key, sluice_text value, int64_t ttl_us) {
      self(call).say("claim " + text(key) + "=" + text(value) + " " + std::to_string(ttl_us));
    };
    host_.explain = [](void* call, sluice_text reason, sluice_text detail) {
      self(call).say("explain " + text(reason) + "/" + text(detail));
    };
    host_.wait_on = [](void* call, const sluice_text* keys, size_t count, int64_t until_us) {
      std::string line = "wait_on";
      for (size_t i = 0; i < count; ++i) line += " " + text(keys[i]);
      self(call).say(line + " until " + std::to_string(until_us));
    };
    host_.retry_after = [](void* call, int64_t after_us) {
      self(call).say("retry_after " + std::to_string(after_us));
    };
    host_.act_request = [](void* call, sluice_text key, const sluice_field* sent, size_t count) {
      self(call).say("act_request " + text(key) + " " + std::to_string(count) + " " +
                     text(sent[0].name));
    };
    host_.outcome = [](void* call, const sluice_field* sent, size_t) {
      self(call).say("outcome " + text(sent[0].name) + "=" + text(sent[0].value));
    };
    host_.request_field = host_.field;
    host_.outcome_field = host_.field;
    host_.recovered = [](void*) -> int32_t { return 0; };
    call_ = {&host_, this};
  }
  RecordingHost(const RecordingHost&) = delete;
  RecordingHost& operator=(const RecordingHost&) = delete;

  const sluice_call* call() const { return &call_; }

  std::map<std::string, std::string> fields, values;
  bool values_on_their_way = false;
  bool policy_fails = false;
  Calls said;

 private:
  static RecordingHost& self(void* call) { return *static_cast<RecordingHost*>(call); }
  static int32_t find(const std::map<std::string, std::string>& in, sluice_text name,
                      sluice_text* out) {
    const auto found = in.find(text(name));
    if (found == in.end()) return 0;
    *out = sluice::detail::raw(found->second);
    return 1;
  }
  void say(std::string line) { said.push_back(std::move(line)); }

  sluice_host host_{};
  sluice_call call_{};
};

// Settings with one integer, `rate`.
struct OneSetting {
  explicit OneSetting(int64_t rate_value) : rate(rate_value) {
    raw.struct_size = sizeof raw;
    raw.context = this;
    raw.get = [](void* context, sluice_text name, sluice_value* out) -> int32_t {
      if (text(name) != "rate") return 0;
      out->type = SLUICE_INTEGER;
      out->integer = static_cast<OneSetting*>(context)->rate;
      return 1;
    };
    raw.complain = [](void* context, sluice_text setting, sluice_text why) {
      static_cast<OneSetting*>(context)->complaint = text(setting) + ": " + text(why);
    };
  }
  OneSetting(const OneSetting&) = delete;
  OneSetting& operator=(const OneSetting&) = delete;

  int64_t rate;
  std::string complaint;
  sluice_settings raw{};
};

// Does what the entry's field `do` says.
class Obedient {
 public:
  static constexpr sluice::Info kInfo{.kind = "obedient", .doc = "Obeys."};
  static constexpr sluice_port kOutputs[] = {{.name = "out"}};
  static constexpr sluice_param kSettings[] = {
      {.name = "rate", .type = SLUICE_INTEGER, .default_text = "1"}};

  static void check(const sluice::Settings& settings) {
    if (settings.integer("rate") < 0) throw sluice::SettingError("rate", "expected no debt");
  }
  explicit Obedient(const sluice::Settings& settings) : rate_(settings.integer("rate")) {
    if (rate_ == 13) throw 13;
  }

  sluice::Verdict process(const sluice::Entry& entry, sluice::Unit& unit) const {
    const std::string_view what = entry["do"];
    if (what == "emit") {
      unit.claim("seen:1", "x", sluice::Duration(rate_));
      unit.emit("out", {{"a", "1"}, {"b", "2"}});
      return sluice::ack();
    }
    if (what == "emit nowhere") unit.emit("nowhere", sluice::Record());
    if (what == "wait")
      return sluice::wait({"permit:1", "permit:2"}, sluice::Time(sluice::Duration(99)));
    if (what == "retry") return sluice::retry(sluice::Duration(250), "busy");
    if (what == "reject") return sluice::reject("bad", "qty is -1");
    if (what == "get") return unit.get("k") ? sluice::ack() : sluice::reject("absent");
    if (what == "policy") {
      const sluice::PolicyResult many = unit.policy("many", {}, 7);
      return unit.policy("permit_ttl").duration() == std::chrono::minutes(1) &&
                     many.integer(0) == 60'000'000 && many.integer(6) == 60'000'006
                 ? sluice::ack()
                 : sluice::reject("other");
    }
    if (what == "throw") throw std::runtime_error("too hot");
    if (what == "throw int") throw 7;
    return sluice::ack();
  }

 private:
  int64_t rate_;
};

class Sender {
 public:
  static constexpr sluice::Info kInfo{.kind = "sender", .type = SLUICE_EXTERNAL};
  explicit Sender(const sluice::Settings&) {}
  static sluice::Verdict process(const sluice::Entry& entry, sluice::Unit&) {
    return sluice::act("order-1", {{"qty", entry["qty"]}});
  }
  static sluice::Act act(const sluice::Request& request, sluice::World&) {
    if (request["qty"] == "9") throw std::runtime_error("line is down");
    if (request["qty"] == "8") return sluice::later(sluice::Duration(500));
    return sluice::done({{"state", "FILLED"}});
  }
  static sluice::Verdict settle(const sluice::Entry&, const sluice::Request&,
                                const sluice::Outcome& outcome, sluice::Unit& unit) {
    unit.emit("out", {{"state", outcome["state"]}});
    return sluice::ack();
  }
};

class Counter {
 public:
  static constexpr sluice::Info kInfo{.kind = "counter", .type = SLUICE_SOURCE};
  explicit Counter(const sluice::Settings&) {}
  sluice::Poll poll(sluice::Unit&) {
    ++polled_;
    if (polled_ == 1) return sluice::more();
    if (polled_ == 2) return sluice::idle(sluice::Duration(1000));
    if (polled_ == 3) throw std::runtime_error("file is gone");
    return sluice::end();
  }

 private:
  int polled_ = 0;
};

// An open instance of T behind its C functions.
template <typename T>
class Open {
 public:
  explicit Open(int64_t rate = 1) {
    OneSetting settings(rate);
    if (kind.open(&settings.raw, &instance) != 0) throw std::runtime_error(settings.complaint);
  }
  ~Open() { kind.close(instance); }
  Open(const Open&) = delete;
  Open& operator=(const Open&) = delete;

  const sluice_kind kind = sluice::detail::kind_of<T>();
  void* instance = nullptr;
};

int32_t obey(RecordingHost& host, const char* what) {
  Open<Obedient> stage(300);
  host.fields["do"] = what;
  return stage.kind.process(stage.instance, host.call());
}

}  // namespace

TEST(PluginProcess, AckKeepsConditionsAndEffectsInOrder) {
  RecordingHost host;
  EXPECT_EQ(obey(host, "emit"), SLUICE_ACK);
  EXPECT_EQ(host.said, (Calls{"claim seen:1=x 300", "emit out 2"}));
}

// Short lists stand elsewhere than long ones.
TEST(PluginFields, AnyNumberIsHandedOnInOrder) {
  for (const size_t count : {0u, 1u, 15u, 16u, 17u, 40u}) {
    sluice::Record record;
    for (size_t i = 0; i < count; ++i) record.add("f" + std::to_string(i), std::to_string(i));
    sluice::PolicyRecord members;
    for (const auto& [name, value] : record.fields()) members.text(name, value);
    const sluice::detail::RawFields fields(record.fields());
    const sluice_value value = members.raw();
    ASSERT_EQ(fields.size(), count);
    ASSERT_EQ(value.count, count);
    for (size_t i = 0; i < count; ++i) {
      const auto& member = static_cast<const sluice_member*>(value.items)[i];
      EXPECT_EQ(text(fields.data()[i].name), "f" + std::to_string(i));
      EXPECT_EQ(text(fields.data()[i].value), std::to_string(i));
      EXPECT_EQ(text(member.name), "f" + std::to_string(i));
      EXPECT_EQ(member.value.type, uint32_t{SLUICE_TEXT});
      EXPECT_EQ(text(member.value.text), std::to_string(i));
    }
  }
}

TEST(PluginProcess, VerdictsCarryTheirDetails) {
  RecordingHost waiting, retrying, rejecting;
  EXPECT_EQ(obey(waiting, "wait"), SLUICE_WAIT);
  EXPECT_EQ(waiting.said, (Calls{"wait_on permit:1 permit:2 until 99"}));
  EXPECT_EQ(obey(retrying, "retry"), SLUICE_RETRY);
  EXPECT_EQ(retrying.said, (Calls{"explain busy/", "retry_after 250"}));
  EXPECT_EQ(obey(rejecting, "reject"), SLUICE_REJECT);
  EXPECT_EQ(rejecting.said, (Calls{"explain bad/qty is -1"}));
}

TEST(PluginProcess, ValueOnItsWayIsAskedForAgain) {
  RecordingHost host;
  host.values_on_their_way = true;
  EXPECT_EQ(obey(host, "get"), SLUICE_AGAIN);
  host.values_on_their_way = false;
  EXPECT_EQ(obey(host, "get"), SLUICE_REJECT);
  host.values["k"] = "v";
  EXPECT_EQ(obey(host, "get"), SLUICE_ACK);
}

TEST(PluginProcess, PolicyThatFailsNeverReturnsToTheStage) {
  RecordingHost host;
  EXPECT_EQ(obey(host, "policy"), SLUICE_ACK);
  host.policy_fails = true;
  EXPECT_EQ(obey(host, "policy"), SLUICE_REJECT);
  EXPECT_EQ(host.said, Calls{});
}

TEST(PluginProcess, ExceptionsBecomeFailedWithTheirText) {
  RecordingHost standard, integer, port;
  EXPECT_EQ(obey(standard, "throw"), SLUICE_FAILED);
  EXPECT_EQ(standard.said, (Calls{"explain exception/too hot"}));
  EXPECT_EQ(obey(integer, "throw int"), SLUICE_FAILED);
  EXPECT_EQ(integer.said, (Calls{"explain exception/not a std::exception"}));
  EXPECT_EQ(obey(port, "emit nowhere"), SLUICE_FAILED);
  EXPECT_EQ(port.said.back(), "explain exception/no output port nowhere");
}

TEST(PluginOpen, ConstructorThatThrowsComplains) {
  const sluice_kind kind = sluice::detail::kind_of<Obedient>();
  void* instance = nullptr;
  OneSetting thirteen(13);
  EXPECT_NE(kind.open(&thirteen.raw, &instance), 0);
  EXPECT_EQ(thirteen.complaint, ": not a std::exception");
  EXPECT_EQ(instance, nullptr);
}

TEST(PluginCheck, SettingErrorNamesTheSetting) {
  const sluice_kind kind = sluice::detail::kind_of<Obedient>();
  OneSetting debt(-1), fine(1);
  EXPECT_NE(kind.check(&debt.raw), 0);
  EXPECT_EQ(debt.complaint, "rate: expected no debt");
  EXPECT_EQ(kind.check(&fine.raw), 0);
  EXPECT_EQ(sluice::detail::kind_of<Sender>().check, nullptr);
}

TEST(PluginExternal, RequestThenOutcomeThenUnit) {
  Open<Sender> stage;
  RecordingHost process, act, settle;
  process.fields["qty"] = "2";
  EXPECT_EQ(stage.kind.process(stage.instance, process.call()), SLUICE_ACT);
  EXPECT_EQ(process.said, (Calls{"act_request order-1 1 qty"}));
  act.fields["qty"] = "2";
  EXPECT_EQ(stage.kind.act(stage.instance, act.call()), SLUICE_ACT_DONE);
  EXPECT_EQ(act.said, (Calls{"outcome state=FILLED"}));
  EXPECT_EQ(stage.kind.settle(stage.instance, settle.call()), SLUICE_ACK);
  EXPECT_EQ(settle.said, (Calls{"emit out 1"}));
}

TEST(PluginExternal, UncertainActIsLaterAndAThrowIsNeverDone) {
  Open<Sender> stage;
  RecordingHost later, thrown;
  later.fields["qty"] = "8";
  EXPECT_EQ(stage.kind.act(stage.instance, later.call()), SLUICE_ACT_LATER);
  EXPECT_EQ(later.said, (Calls{"retry_after 500"}));
  thrown.fields["qty"] = "9";
  EXPECT_EQ(stage.kind.act(stage.instance, thrown.call()), SLUICE_ACT_FAILED);
  EXPECT_EQ(thrown.said, (Calls{"explain exception/line is down"}));
}

TEST(PluginSource, PollSaysWhatComesNext) {
  Open<Counter> source;
  RecordingHost host;
  EXPECT_EQ(source.kind.poll(source.instance, host.call()), SLUICE_POLL_MORE);
  EXPECT_EQ(source.kind.poll(source.instance, host.call()), SLUICE_POLL_IDLE);
  EXPECT_EQ(host.said, (Calls{"retry_after 1000"}));
  EXPECT_EQ(source.kind.poll(source.instance, host.call()), SLUICE_POLL_FAILED);
  EXPECT_EQ(source.kind.poll(source.instance, host.call()), SLUICE_POLL_END);
}

TEST(PluginKind, DescriptionFollowsTheClass) {
  const sluice_kind stage = sluice::detail::kind_of<Obedient>();
  EXPECT_STREQ(stage.kind, "obedient");
  ASSERT_EQ(stage.input_count, 1u);
  EXPECT_STREQ(stage.inputs[0].name, "in");
  EXPECT_EQ(stage.output_count, 1u);
  EXPECT_EQ(stage.setting_count, 1u);
  EXPECT_EQ(stage.act, nullptr);
  const sluice_kind source = sluice::detail::kind_of<Counter>();
  EXPECT_EQ(source.input_count, 0u);
  EXPECT_EQ(source.process, nullptr);
  EXPECT_NE(source.poll, nullptr);
}
