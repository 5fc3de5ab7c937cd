// What runs inside the server: the files of scripts/, each called by the hash of its text.
#pragma once

#include <string>
#include <string_view>

#include "redis/resp.h"

namespace sluice::redis {

struct Script {
  explicit Script(std::string_view text) : source(text) { hash(); }
  Script(std::string_view common, std::string_view text) : source(common) {
    source += text;
    hash();
  }
  Script(std::string_view common, std::string_view counters, std::string_view text)
      : source(common) {
    source += counters;
    source += text;
    hash();
  }

  std::string source;
  std::string sha;  // 40 hexadecimal digits, the server's name for it

 private:
  void hash();
};

// What each takes and answers stands in its file.
struct Scripts {
  Script commit, read, claim, pending, renew, get, counter, counter_state, lag, trim, tidy, probe,
      hosts;
};

const Scripts& scripts();

// Begins a call of `script` in `commands`; the keys and `argument_count` arguments follow.
void begin_script(Commands& commands, const Script& script, size_t key_count,
                  size_t argument_count);

// Begins and fills such a call.
void add_script(Commands& commands, const Script& script,
                std::initializer_list<std::string_view> keys,
                std::initializer_list<std::string_view> arguments);

// Adds a SCRIPT LOAD of every script but `hosts`, whose callers send its text.
void add_loads(Commands& commands);

}  // namespace sluice::redis
