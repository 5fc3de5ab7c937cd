#include "redis/scripts.h"

#include <fmt/format.h>
#include <openssl/evp.h>

namespace sluice::redis {

void Script::hash() {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_Digest(source.data(), source.size(), digest, &size, EVP_sha1(), nullptr);
  for (unsigned int i = 0; i < size; ++i) sha += fmt::format("{:02x}", digest[i]);
}

void begin_script(Commands& commands, const Script& script, size_t key_count,
                  size_t argument_count) {
  commands.begin(3 + key_count + argument_count);
  commands.arg("EVALSHA");
  commands.arg(script.sha);
  commands.arg(static_cast<int64_t>(key_count));
}

void add_script(Commands& commands, const Script& script,
                std::initializer_list<std::string_view> keys,
                std::initializer_list<std::string_view> arguments) {
  begin_script(commands, script, keys.size(), arguments.size());
  for (const std::string_view key : keys) commands.arg(key);
  for (const std::string_view argument : arguments) commands.arg(argument);
}

void add_loads(Commands& commands) {
  const Scripts& all = scripts();
  for (const Script* script :
       {&all.commit, &all.read, &all.claim, &all.pending, &all.renew, &all.get, &all.counter,
        &all.counter_state, &all.lag, &all.trim, &all.tidy, &all.probe})
    commands.add({"SCRIPT", "LOAD", script->source});
}

}  // namespace sluice::redis
