#include "whole/libraries.h"

#include <openssl/evp.h>
#include <simdjson.h>

#include <functional>
#include <lua.hpp>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "common/measure.h"
#include "common/stores.h"
#include "redis/workload.h"

namespace sluice::bench {

namespace {

constexpr size_t kTexts = 1000;  // of a kind, one after the other

void must(bool fine, const char* what) {
  if (!fine) throw std::runtime_error(std::string(what) + " failed");
}

// Padded, as simdjson wants it.
using Texts = std::vector<simdjson::padded_string>;

Texts payloads() {
  Texts texts;
  for (size_t i = 0; i < kTexts; ++i) texts.emplace_back(payload_of(i));
  return texts;
}

Texts decisions() {
  Texts texts;
  for (size_t i = 0; i < kTexts; ++i) {
    stream::Fields fields;
    make_decision(i, from_ms(1'760'000'000'000), fields);
    texts.emplace_back(fields.find("payload").value());
  }
  return texts;
}

// As the router writes them.
Texts intents() {
  Texts texts;
  for (size_t i = 0; i < kTexts; ++i)
    texts.emplace_back(
        R"({"symbol": "BTCUSDT", "action": "BUY", "confidence": 0.)" + std::to_string(500'000 + i) +
        R"(, "position_size_usd": 200, "leverage": 1, "timestamp": "2025-10-09T08:53:20.000000Z", )"
        R"("source": "ai_strategy_router"})");
  return texts;
}

class Json {
 public:
  void read(const simdjson::padded_string& text) {
    simdjson::dom::element root;
    must(parser_.parse(text).get(root) == simdjson::SUCCESS && root.is_object(), "simdjson");
  }

 private:
  simdjson::dom::parser parser_;
};

class Lua {
 public:
  Lua() : state_(luaL_newstate(), lua_close) {
    luaL_openlibs(state_.get());
    must(luaL_dostring(state_.get(),
                       "function find(payload)\n"
                       "  if payload:find('\"action\":\"CLOSE\"', 1, true) then return 2 end\n"
                       "  return 1\nend\nfunction answer() return 1 end\n") == LUA_OK,
         "Lua");
  }

  void call(const char* function, std::string_view argument) {
    lua_State* const state = state_.get();
    lua_getglobal(state, function);
    lua_pushlstring(state, argument.data(), argument.size());
    must(lua_pcall(state, 1, 1, 0) == LUA_OK && lua_tointeger(state, -1) == 1, "Lua");
    lua_pop(state, 1);
  }

 private:
  std::unique_ptr<lua_State, decltype(&lua_close)> state_;
};

class Sha256 {
 public:
  void digest(std::string_view bytes) {
    unsigned char out[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    must(EVP_DigestInit_ex2(context_.get(), algorithm_.get(), nullptr) == 1 &&
             EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1 &&
             EVP_DigestFinal_ex(context_.get(), out, &size) == 1,
         "SHA-256");
  }

 private:
  std::unique_ptr<EVP_MD, decltype(&EVP_MD_free)> algorithm_{
      EVP_MD_fetch(nullptr, "SHA256", nullptr), EVP_MD_free};
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_{EVP_MD_CTX_new(),
                                                                   EVP_MD_CTX_free};
};

void measure(const std::string& name, size_t entries, const std::function<void(size_t)>& handle) {
  const double before = cpu_seconds();
  for (size_t i = 0; i < entries; ++i) handle(i % kTexts);
  print_measured("libraries/" + name, "us/entry",
                 (cpu_seconds() - before) * 1e6 / static_cast<double>(entries));
}

}  // namespace

void measure_libraries(const LibraryOptions& options) {
  const Texts payload = payloads(), decision = decisions(), intent = intents();
  const std::string content(120, 'c');
  Json json;
  Lua lua;
  Sha256 sha256;
  for (int round = 0; round < options.rounds; ++round) {
    measure("stage", options.entries, [&](size_t i) {
      json.read(payload[i]);
      lua.call("find", payload[i]);
    });
    measure("router", options.entries, [&](size_t i) {
      json.read(decision[i]);
      json.read(intent[i]);
      for (int hook = 0; hook < 3; ++hook) lua.call("answer", "");
      sha256.digest(content);
    });
  }
}

}  // namespace sluice::bench
