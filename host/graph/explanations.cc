#include "graph/explanations.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace sluice::graph {
namespace {

// In the order of the codes.
constexpr auto kTexts = std::to_array<Explanation>({
    {Fault::kFileUnreadable,
     R"(There is no file of that name, or this user may not read it. Nothing was checked.)",
     R"($ sluice check pipelines/trad.yaml
# instead:
$ sluice check pipelines/trade.yaml)",
     R"(Name a file that is there and that this user can read.)"},

    {Fault::kFileTooLarge,
     R"(A pipeline file is written by hand and has a few kilobytes; above 1 MiB it is most likely
another file, such as a recording. It is not read at all, so that a slip costs no memory.)",
     R"($ sluice check pipelines/samples/a_day_of_decisions.ndjson
# instead:
$ sluice run pipelines/trade.yaml --input pipelines/samples/a_day_of_decisions.ndjson)",
     R"(Name the pipeline file. Keep data that stages need in files of their own and name those.)"},

    {Fault::kNotText,
     R"(The file is binary, or was saved in another encoding than UTF-8. Names in it would reach
streams, keys and log lines as other characters than the ones on the screen.)",
     R"($ iconv -t UTF-16 trade.txt > pipelines/trade.yaml
# instead:
$ iconv -t UTF-8 trade.txt > pipelines/trade.yaml)",
     R"(Save the file as UTF-8 and remove the control character at the place shown.)"},

    {Fault::kSyntax,
     R"(The text cannot be read as YAML from this place on: a bracket or a quote is left open, or
a line is indented so that it belongs to nothing. What follows is unknown, so only this
fault is shown; others may appear once it is mended.)",
     R"(streams:
  orders: { name: quantum:stream:apply.order, keep: 10000
# instead:
streams:
  orders: { name: quantum:stream:apply.order, keep: 10000 })",
     R"(Close the bracket or quote, or indent the line like its neighbours. The fault can begin a
line above the place shown.)"},

    {Fault::kTooDeep,
     R"(Lists and maps stand inside one another more than 32 times. No key of a pipeline goes
deeper than 5; the bound keeps a damaged file from using up the program's stack.)",
     R"(seed: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[7]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]
# instead:
seed: 7)",
     R"(Remove the brackets that are too many.)"},

    {Fault::kTooManyNodes,
     R"(The file has more keys and values than any pipeline needs, most often because data was
written into it. The bound keeps `check` quick and its memory small.)",
     R"(stages:
  plan:
    with:
      symbols: [A0001USDT, A0002USDT, A0003USDT]  # and so on to 50,000
# instead:
stages:
  plan:
    with:
      symbols: [BTCUSDT, ETHUSDT, SOLUSDT])",
     R"(Move the data to a file that the stage reads, or divide the pipeline.)"},

    {Fault::kAnchor,
     R"(Anchors (`&`) and aliases (`*`) let one line change another far away, and nested ones can
make a small file huge. A pipeline file says what it means where it stands.)",
     R"(stages:
  execution:
    with:
      filters: &filters ["BTCUSDT:notional=50"]
# instead:
stages:
  execution:
    with:
      filters: ["BTCUSDT:notional=50"])",
     R"(Write the value out in both places, or give it to all stages in `defaults`. A text that
begins with `&` or `*` needs quotes.)"},

    {Fault::kTag,
     R"(A tag (`!!int`, `!secret`) asks the YAML reader to make a type of its own from a value.
The types here come from the keys and from the plugins' settings; a tag would be passed
over.)",
     R"(streams:
  plans: { name: quantum:stream:apply.plan, keep: !!int 10000 }
# instead:
streams:
  plans: { name: quantum:stream:apply.plan, keep: 10000 })",
     R"(Remove the tag. A text that begins with `!` needs quotes.)"},

    {Fault::kMergeKey,
     R"(A merge key copies keys from elsewhere, and which of two values wins depends on the
reader. What a stage or stream runs with has to be seen where it is declared.)",
     R"(streams:
  orders:
    <<: { keep: 10000 }
# instead:
streams:
  orders:
    keep: 10000)",
     R"(Write the keys out, or give them to all stages in `defaults`.)"},

    {Fault::kDuplicateKey,
     R"(One map gives the same key twice. Other readers keep one of the two without a word, and
not all the same one: the pipeline could run with the value that was meant to be replaced.)",
     R"(streams:
  orders:
    keep: 10000
    keep: 20000
# instead:
streams:
  orders:
    keep: 20000)",
     R"(Remove one of the two; the finding names the line of the first.)"},

    {Fault::kKeyNotText,
     R"(Keys are names. A list, a map or nothing at all stands where a name should, so there is
nothing by which the value could be found.)",
     R"(streams:
  [alerts, notes]: { external: true, unread: true }
# instead:
streams:
  alerts: { external: true, unread: true }
  notes: { external: true, unread: true })",
     R"(Write one key for each value. A text with brackets in it needs quotes.)"},

    {Fault::kTabIndent,
     R"(YAML is indented with spaces. How far a tab goes depends on the editor, so a key could
belong to another stage than it seems to.)",
     "drain_timeout:\n"
     "\t10s  # a tab stands in front\n"
     "# instead:\n"
     "drain_timeout:\n"
     "  10s",
     R"(Replace the tab with spaces, as many as the lines beside it have.)"},

    {Fault::kSecondDocument,
     R"(`---` begins a second document, and a pipeline is one. What stands behind it would not be
part of the pipeline.)",
     R"(drain_timeout: 20s
---
seed: 7
# instead:
drain_timeout: 20s
seed: 7)",
     R"(Remove the `---`, or move what follows to a file of its own.)"},

    {Fault::kVariableUnset,
     R"(The file takes a value from the environment, where it is not set. Without it the stage
would run with an empty path, name or address.)",
     R"(stages:
  execution:
    with:
      klines: "${KLINES}"
# instead:
stages:
  execution:
    with:
      klines: "${KLINES:-}")",
     R"(Set the variable where the program is started, or write a default behind `:-`; it may be
empty.)"},

    {Fault::kVariableMalformed,
     R"(`${` begins a variable, and what follows is not one: the closing brace is missing, the
name has other characters than letters, digits and `_`, or the default does not begin with
`:-`.)",
     R"(stages:
  router:
    order_by: "${ORDER_BY-symbol}"
# instead:
stages:
  router:
    order_by: "${ORDER_BY:-symbol}")",
     R"(Write `${NAME}` or `${NAME:-default}`.)"},

    {Fault::kAmbiguousPlain,
     R"(Without quotes this text is a boolean, an octal or a base-60 number to many YAML readers.
Here it stays text, but a tool that rewrites the file may write `83` for `0123` or `true`
for `yes`, and the pipeline then runs with that.)",
     R"(stages:
  execution:
    with:
      account: 0123
# instead:
stages:
  execution:
    with:
      account: "0123")",
     R"(Put the text in quotes.)"},

    {Fault::kUnknownKey,
     R"(Nothing here has this name; most often it is a slip. The value would be passed over and
the default would hold, without the policy, the limit or the bound that was meant.)",
     R"(stages:
  router:
    polcy: lua/router.lua
# instead:
stages:
  router:
    policy: lua/router.lua)",
     R"(Take one of the keys listed; settings of a plugin belong under `with`.)"},

    {Fault::kMissingKey,
     R"(A key that has no default is not given, so the program would have to guess what is meant.)",
     R"(streams:
  orders:
    account: { as: milestone }
# instead:
streams:
  orders:
    account: { as: milestone, label: both permits })",
     R"(Add the key to the map named in the finding.)"},

    {Fault::kWrongShape,
     R"(The key takes another form than it has: one value, a list `[a, b]` or a map `{ key: value
}`. The value cannot be read, and a default in its place would not be what was written.)",
     R"(drain_timeout: { seconds: 10 }
# instead:
drain_timeout: 10s)",
     R"(Write the value in the form the finding expects.)"},

    {Fault::kBadValue,
     R"(The value is not one of the words allowed, or not a number, a duration or a flag as
wanted. A duration needs its unit: `10` could be milliseconds or seconds, a thousand times
as long.)",
     R"(drain_timeout: 10
# instead:
drain_timeout: 10s)",
     R"(Write what the finding expects: a duration such as `300ms`, `10s` or `5m`, a flag as
`true` or `false`, a number without leading zeros.)"},

    {Fault::kOutOfBounds,
     R"(The value reads well but is below or above what works. Bounds are far outside sensible
values, so this is most likely a slip, a digit too many or another unit.)",
     R"(stages:
  router:
    workers: 1000
# instead:
stages:
  router:
    workers: 4)",
     R"(Choose a value within the bounds the finding gives. Of `retry`, keep `min` at most `max`.)"},

    {Fault::kApiVersion,
     R"(`api` says which version of this format the file is written in. Another version may mean
something else by the same keys, so nothing is guessed.)",
     R"(api: sluice/v2
# instead:
api: sluice/v1)",
     R"(Write `api: sluice/v1`, or run the file with a program that reads its version.)"},

    {Fault::kInlineSecret,
     R"(A password or key is written in the file. The file is committed, copied and printed, so
whoever sees it could act on the exchange or on the store.)",
     R"(engine: { kind: redis, url: "redis://sluice:hunter2@10.0.0.5:6379" }
# instead:
engine: { kind: redis, url: "${REDIS_URL}" })",
     R"(Take a url from a variable; write a secret setting as `{ file: PATH }`. Change the secret
if the file was ever shared.)"},

    {Fault::kSecretUnreadable,
     R"(A setting is to be read from a file, which is not there or which this user may not read.
The stage would start without it and be turned away by whoever asks for it.)",
     R"(stages:
  execution:
    with:
      account: { file: secrets/acount }
# instead:
stages:
  execution:
    with:
      account: { file: secrets/account })",
     R"(Name the file as it is called and let this user read it, nobody else: `chmod 600`.)"},

    {Fault::kBadName,
     R"(Names become parts of stream names, consumer names, metrics and paths. Blanks and other
characters would be cut or mean something else there.)",
     R"(pipeline: trade lane 1
# instead:
pipeline: trade-lane-1)",
     R"(Write a letter, then up to 63 letters, digits, `_`, `-` or `.`. The `name` of a stream
takes up to 200 ASCII characters without blanks, a `group` up to 200 bytes.)"},

    {Fault::kKeyHasNoEffect,
     R"(The key is known but says nothing here: `concurrency` is for stages that act on the
world, `group` or `workers` for stages that read a stream, `url` for Redis. Whoever
wrote it expects something that will not happen. Where a variable chooses the kind of
the engine, keys of either kind may stand there.)",
     R"(stages:
  router:
    concurrency: 4
# instead:
stages:
  router:
    workers: 4)",
     R"(Remove the key, or use the one that does what was meant.)"},

    {Fault::kEngineMissing,
     R"(The file asks for an engine that this program was built without, so there is nothing to
keep its streams and keys in.)",
     R"(engine: { kind: redis, url: "redis://10.0.0.5:6379" }
# instead:
engine: { kind: embedded, path: var/trade })",
     R"(Write `kind: embedded`, or run the file with a program that has the engine.)"},

    {Fault::kInputPathUnreadable,
     R"(A setting names a file or folder that the stage reads, and it is not there or this user
may not read it. The stage could not start, or would go on without its data.)",
     R"(stages:
  execution:
    with:
      klines: data/klins
# instead:
stages:
  execution:
    with:
      klines: data/klines)",
     R"(Name what is there and let this user read it. A path in the file is meant from the folder
that the finding shows, not from where the program is started.)"},

    {Fault::kStorePath,
     R"(The store's folder is not there and cannot be made, or is a file, or cannot be written by
this user. `run` could not keep a single entry.)",
     R"(engine: { kind: embedded, path: pipelines/trade.yaml }
# instead:
engine: { kind: embedded, path: var/trade })",
     R"(Name a folder this user can write to, or one that can be made inside such a folder.)"},

    {Fault::kListenAddress,
     R"(`metrics` is not an address and a port at which they could be served. Names of hosts
are not looked up; only `localhost` is known.)",
     R"(metrics: "monitor.example:9100"
# instead:
metrics: "127.0.0.1:9100")",
     R"(Write ADDRESS:PORT, `[ADDRESS]:PORT` for IPv6, or a port alone, which is served to this
machine only. Leave the key out or empty to serve none.)"},

    {Fault::kUnknownStream,
     R"(A stage or `defaults` names a stream that is not a key under `streams`. Entries would go
nowhere, or the stage would wait for ever.)",
     R"(stages:
  gate:
    to: { order: orders, result: outcome }
# instead:
stages:
  gate:
    to: { order: orders, result: outcomes })",
     R"(Write the stream's key as it stands under `streams` (not its `name`), or declare it there.)"},

    {Fault::kSharedStreamName,
     R"(Two keys under `streams` have the same `name`, so they are one stream in the engine.
Readers of one would get the entries of the other, and both would trim it.)",
     R"(streams:
  results_legacy: { name: quantum:stream:execution.result, unread: true }
# instead:
streams:
  results_legacy: { name: trade.execution.res, unread: true })",
     R"(Give each a name of its own, or declare the stream once and use its key in both places.)"},

    {Fault::kSchemaRefused,
     R"(The schema's file is not there, is not JSON, or uses something a schema here cannot say.
Entries could not be checked, and unsound ones would reach the stages.)",
     R"(streams:
  intents: { name: quantum:stream:trade.intent, schema: trade_intents }
# instead:
streams:
  intents: { name: quantum:stream:trade.intent, schema: trade_intent })",
     R"(Name a file in `schemas/` beside the pipeline, without `.json`; in the schema, mend the
line shown.)"},

    {Fault::kNoProducer,
     R"(No stage writes the stream and it is not declared to be fed from outside. Its readers
would start, wait for ever, and look healthy.)",
     R"(streams:
  commands: { name: quantum:stream:operator.command, keep: 10000 }
# instead:
streams:
  commands: { name: quantum:stream:operator.command, keep: 10000, external: true })",
     R"(Wire an output to it, write `external: true` when others feed it, or remove the stream.)"},

    {Fault::kNoReader,
     R"(No stage reads the stream. What is written there moves nothing, and without `keep` it
grows for as long as the pipeline runs.)",
     R"(streams:
  governor_events: { name: quantum:stream:governor.events, keep: 10000 }
# instead:
streams:
  governor_events: { name: quantum:stream:governor.events, keep: 10000, unread: true })",
     R"(Wire an input to it, or write `unread: true` (and `keep`) when only people or other
programs read it.)"},

    {Fault::kRequiredNotWritten,
     R"(The stream's schema requires a property that this stage never writes. Entries are checked
before they are appended, so whatever the stage made one from would become a dead letter
with reason `schema`.)",
     R"(streams:
  duplicates:
    schema: trade_intent
# instead:
streams:
  intents: { name: quantum:stream:trade.intent, schema: trade_intent })",
     R"(Give the stream the schema of what the stage writes, or wire the output to another stream.)"},

    {Fault::kNeededNotWritten,
     R"(The stage needs a field that none of the stream's producers writes. It would reject every
entry, or decide without the field.)",
     R"(stages:
  ledger:
    from: orders
# instead:
stages:
  ledger:
    from: { stream: results, feedback: true })",
     R"(Wire the input to the stream that has the field; `sluice plugin describe` lists the fields
of each port.)"},

    {Fault::kUnreadButRead,
     R"(The stream is declared to have no reader and a stage reads it. It works, but whoever trims
or replaces the stream on the strength of that line takes entries from the stage.)",
     R"(streams:
  results:
    unread: true
# instead:
streams:
  results:
    unread: false)",
     R"(Remove `unread: true`, or the wire that reads the stream.)"},

    {Fault::kDeadLettersNotKept,
     R"(The stream takes dead letters, a stage reads it, and it has no `keep`. Entries that every
group has acked are trimmed, so a dead letter is gone before an operator sees it: `sluice
dlq` shows and replays none. A stream of dead letters that no stage reads keeps all.)",
     R"(streams:
  dead: { name: quantum:stream:dead }
# instead:
streams:
  dead: { name: quantum:stream:dead, keep: 1000000 })",
     R"(Write `keep` with as many dead letters as operators may want to look at, or let no stage
read the stream.)"},

    {Fault::kPluginUnknown,
     R"(No library in the plugins' folder offers this stage: the name is misspelt, the library is
not installed, or the plugin has several kinds and the kind is missing.)",
     R"(stages:
  p33:
    use: p33.permits
# instead:
stages:
  p33:
    use: p33.permit)",
     R"(Take a name from `sluice plugin ls`; name another folder with `--plugins`.)"},

    {Fault::kPluginRefused,
     R"(The library is there but cannot be trusted or does not fit: others may write to it, it was
built for another version of the plugin table, or its description is not sound. It would
run inside the program with all its rights.)",
     R"($ chmod g+w build/release/plugins/router.so
# instead:
$ chmod go-w build/release/plugins/router.so)",
     R"(Do what the finding says: set the rights, or build the plugin with the SDK of this
program. `sluice plugin ls` shows all that is refused.)"},

    {Fault::kSettingUnknown,
     R"(The plugin has no setting of this name; most often it is a slip. The value would be passed
over and the setting that was meant would keep its default.)",
     R"(stages:
  plan:
    with: { symbol: [BTCUSDT, ETHUSDT] }
# instead:
stages:
  plan:
    with: { symbols: [BTCUSDT, ETHUSDT] })",
     R"(Take one of the settings listed; `sluice plugin describe` tells what each does.)"},

    {Fault::kSettingMissing,
     R"(The plugin has a setting without a default, because no value is right for everyone, and
the file does not give it. The stage could not start.)",
     R"(stages:
  snapshot:
    with: { state: var/trade/paper }
# instead:
stages:
  snapshot:
    with: { state: var/trade/paper, symbols: [BTCUSDT, ETHUSDT, SOLUSDT] })",
     R"(Add the setting under `with`; `sluice plugin describe` gives its type and unit.)"},

    {Fault::kSettingValue,
     R"(The plugin describes the setting's type, range and words, and the value is none of them.
The stage could not start, or would act on a limit that nobody set.)",
     R"(stages:
  router:
    with: { min_confidence: 60 }
# instead:
stages:
  router:
    with: { min_confidence: 0.6 })",
     R"(Write a value the finding expects; a duration has its unit, a list its brackets.)"},

    {Fault::kPortUnknown,
     R"(The stage is wired at a port its plugin does not have. Nothing would ever come from it or
go into it, while the port that was meant stays open.)",
     R"(stages:
  governor:
    to: { events: governor_events }
# instead:
stages:
  governor:
    to: { event: governor_events })",
     R"(Take one of the ports listed.)"},

    {Fault::kInputUnwired,
     R"(The plugin cannot do its work without this input, and no stream is wired to it. The stage
would start and never get an entry there.)",
     R"(stages:
  governor:
    from: {}
# instead:
stages:
  governor:
    from: { in: plans })",
     R"(Wire a stream to the input, as the finding shows.)"},

    {Fault::kOutputUnwired,
     R"(The plugin may write to this output at any time, and no stream is wired to it. What it
writes there has nowhere to go, so the stage could not finish the entry it handles.)",
     R"(stages:
  gate:
    to: { order: orders }
# instead:
stages:
  gate:
    to: { order: orders, result: outcomes })",
     R"(Wire the output to a stream. Declare the stream `unread: true` when nobody here needs it.)"},

    {Fault::kWiringForm,
     R"(`to` always names ports. `from` may be one stream for a stage with one input, names ports
for a stage with several, and is absent for a source. In any other form it is not clear
which stream belongs to which port.)",
     R"(stages:
  governor:
    to: governor_events
# instead:
stages:
  governor:
    to: { event: governor_events })",
     R"(Write a map from ports to streams; a source has no `from`.)"},

    {Fault::kDuplicateGroup,
     R"(Two stages read the same stream in one consumer group. A group delivers each entry once,
so each stage would see only a part: here half of the plans would miss one of their
permits.)",
     R"(stages:
  p33:
    group: governor
# instead:
stages:
  p33:
    group: p33)",
     R"(Give each reader a group of its own, or leave `group` out: it is then the stage's name.
For more throughput of one stage, use `workers`.)"},

    {Fault::kCycle,
     R"(What a stage writes comes back to it. An entry could go round for ever, and with bounded
streams all stages of the loop could wait for one another.)",
     R"(streams:
  again: { keep: 10000 }
stages:
  second_look:
    use: router
    from: again
    to: { intent: intents, duplicate: again }
# instead:
streams:
  again: { keep: 10000 }
stages:
  second_look:
    use: router
    from: { stream: again, feedback: true }
    to: { intent: intents, duplicate: again })",
     R"(Wire one of the stages to another stream. If the loop is wanted and ends by itself, mark
the edge that closes it with `feedback: true`.)"},

    {Fault::kNoDeadLetter,
     R"(An entry that the stage rejects or cannot handle must go somewhere. Without a dead-letter
stream it would be lost, or be tried for ever.)",
     R"(defaults: { deliveries_max: 5 }
# instead:
defaults: { deliveries_max: 5, dead_letter: dead })",
     R"(Name a stream as `dead_letter` in `defaults`, or in the stage.)"},

    {Fault::kOwnDeadLetter,
     R"(The stage reads the stream that takes the entries it gave up on. It would get each of them
again, give it up again, and so on for ever.)",
     R"(stages:
  ledger:
    dead_letter: results
# instead:
stages:
  ledger:
    dead_letter: dead)",
     R"(Send the dead letters to another stream. To try them again, use `sluice dlq replay`.)"},

    {Fault::kSettingsRefused,
     R"(Each setting reads well, but the plugin finds that one of them, or all together, cannot
work. It would say the same at the start of `run` and the stage would not open.)",
     R"(stages:
  execution:
    with:
      filters: ["BTCUSDT:notionals=50"]
# instead:
stages:
  execution:
    with:
      filters: ["BTCUSDT:notional=50"])",
     R"(Change the setting as the plugin's own text says; `sluice plugin describe` has its form.)"},

    {Fault::kKeysOwnedTwice,
     R"(Two stages keep the same keys and each takes itself for the only one: two governors would
both grant permits and charge the same limits, two ledgers would book each fill twice.)",
     R"(stages:
  governor:
    use: governor
    from: plans
  governor_of_eth:
    use: governor
    from: plans
# instead:
stages:
  governor:
    use: governor
    from: plans)",
     R"(Keep one of the stages. What differs by symbol belongs in its policy.)"},

    {Fault::kNoCommonSlot,
     R"(The names of one unit must lie in one slot of the cluster, and without `shards` names are
as they are: this stage's streams and dead letters have no common hash tag, or it touches
keys, which never have that. Redis refuses to commit such a unit, so no entry of the stage
could ever be acked.)",
     R"(engine: { kind: redis, url: "redis+cluster://10.0.0.5" }
# instead:
engine: { kind: redis, url: "redis+cluster://10.0.0.5", shards: 1 })",
     R"(Write `shards: 1`: every name of the pipeline then begins with one hash tag. A stage that
touches no keys can do without: name all its streams with one tag, such as `{a}plans` and
`{a}dead`.)"},

    {Fault::kOneOverShards,
     R"(With several shards every key is in the shard of the entry it belongs to. These keys
belong to no entry: their pattern has neither the field of `shard_by` nor an id (a name
that ends in _id). Each shard would have one of its own: a daily limit of 20 trades would
be 20 for each shard, a kill switch set in one shard would stop that one only, and what
compares symbols would see those of its own shard.)",
     R"(engine: { kind: redis, url: "redis+cluster://10.0.0.5", shards: 4, shard_by: symbol }
# instead:
engine: { kind: redis, url: "redis+cluster://10.0.0.5", shards: 1 })",
     R"(Run it with `shards: 1`, which keeps everything in one slot. Where one for each shard is
what you mean, divide the limits by their number and list the patterns in `per_shard`, as
`sluice plugin describe` prints them: `per_shard: ["quantum:kill"]`. `sluice ctl` tells
all shards.)"},

    {Fault::kPolicyUnreadable,
     R"(The policy's file is not there, or this user may not read it. With the hooks' defaults
instead, the limits written in the file would silently not hold.)",
     R"(stages:
  governor:
    policy: lua/governer.lua
# instead:
stages:
  governor:
    policy: lua/governor.lua)",
     R"(Name a file that is there; `lua/x.lua` is meant from the folder above `pipelines`.)"},

    {Fault::kPolicyRefused,
     R"(The policy has a syntax error, a hook the plugin does not know, a value of the wrong type
or outside its range, or one of its own tests fails. A hook that fails means no, so every
entry it is asked about would be rejected.)",
     R"(-- lua/p33.lua
return { snapshot_age_max = 1 * h } -- at most 10m
-- instead:
return { snapshot_age_max = 10 * s })",
     R"(Mend the line shown and try it alone with `sluice policy check`. `sluice plugin describe`
lists the hooks and the range of each result.)"},

    {Fault::kPolicyUnused,
     R"(This kind of stage asks no policy, so nothing in the file takes effect. Whoever changes it
believes that something has changed.)",
     R"(stages:
  ledger:
    policy: lua/p33.lua
# instead:
stages:
  p33:
    policy: lua/p33.lua)",
     R"(Remove `policy` here, or give it to the stage that has the hooks.)"},

    {Fault::kTestReference,
     R"(`${...}` in a test stands for the clock or for a field of the newest entry of a stream,
and this name is neither. The test would compare with a text that nobody wrote.)",
     R"(# pipelines/trade.test.yaml
  - name: a dead letter keeps its trace
    steps:
      - add: { decisions: { trace_id: T1, payload: { symbol: BTCUSDT } } }
      - expect: { dead: { trace_id: "${decision.trace_id}" } }
# instead:
  - name: a dead letter keeps its trace
    steps:
      - add: { decisions: { trace_id: T1, payload: { symbol: BTCUSDT } } }
      - expect: { dead: { trace_id: "${decisions.trace_id}" } })",
     R"(Write `${now}`, `${now_ms}`, `${now_us}` or `${now_iso}`, or the stream's key in the
pipeline and a field: `${plans.plan_id}`. `${request.FIELD}` and `${key}` belong in
`exchange`.)"},

    {Fault::kTestMatcher,
     R"(A text between slashes is a pattern, and one that begins with `<`, `>`, `<=` or `>=` and a
blank compares numbers. This one cannot be read as that, so it would never accept
anything.)",
     R"(# pipelines/trade.test.yaml
  - name: an order has a quantity
    stages: [gate]
    steps:
      - add: { orders: { quantity: "0.002" } }
      - expect: { orders: { quantity: "> none" } }
# instead:
  - name: an order has a quantity
    stages: [gate]
    steps:
      - add: { orders: { quantity: "0.002" } }
      - expect: { orders: { quantity: "> 0" } })",
     R"(Write a number behind the sign, or mend the pattern; its syntax is that of `pattern` in
message schemas.)"},

    {Fault::kTestStageUnknown,
     R"(A test runs, changes or answers a stage that the pipeline does not have. It would pass
without trying what it is named for.)",
     R"(# pipelines/trade.test.yaml
  - name: an invalid decision is a dead letter
    stages: [ruoter]
    steps:
      - add: { decisions: { side: BUY } }
      - expect: { dead: 1 }
# instead:
  - name: an invalid decision is a dead letter
    stages: [router]
    steps:
      - add: { decisions: { side: BUY } }
      - expect: { dead: 1 })",
     R"(Write the stage's name as it stands in the pipeline.)"},

    {Fault::kTestStepForm,
     R"(A step does one thing and an answer has one ending, and this one has none or several. In
which order they happen would be a guess. `given` prepares and expects nothing.)",
     R"(# pipelines/trade.test.yaml
  - name: a plan waits for its permits
    steps:
      - add: { plans: 1 }
        advance: 1300ms
      - expect: { orders: [] }
# instead:
  - name: a plan waits for its permits
    steps:
      - add: { plans: { plan_id: P1, symbol: BTCUSDT } }
      - advance: 1300ms
      - expect: { orders: [] })",
     R"(Write a step, with its own `-`, for each thing; of an answer keep one of `outcome`,
`later` and `fails`.)"},

    {Fault::kTestExpectsNothing,
     R"(The test has no step `expect`. It would pass whatever the pipeline does, and count as
proof and in the coverage.)",
     R"(# pipelines/trade.test.yaml
  - name: a decision without a side is a dead letter
    steps:
      - add: { decisions: { payload: { symbol: BTCUSDT } } }
# instead:
  - name: a decision without a side is a dead letter
    steps:
      - add: { decisions: { payload: { symbol: BTCUSDT } } }
      - expect: { dead: 1 })",
     R"(Add what must be there afterwards; `orders: []` expects that there is nothing.)"},

    {Fault::kTestNameTwice,
     R"(Two tests of the file have the same name. A failure, `--filter` and a build server's
report could mean either.)",
     R"(# pipelines/trade.test.yaml
  - name: an old plan is dropped
    steps: [expect: { orders: [] }]
  - name: an old plan is dropped
    steps: [expect: { results: [] }]
# instead:
  - name: an old plan is dropped
    steps: [expect: { orders: [] }]
  - name: an old plan has no result
    steps: [expect: { results: [] }])",
     R"(Say in each name what is special about the case.)"},

    {Fault::kTestPipelineRefused,
     R"(`sluice check` refuses the pipeline, as it is or with the variables of the test, so there
is nothing to run. The pipeline's own findings are printed with this one.)",
     R"(# pipelines/trade.test.yaml
  - name: prices come from candles
    variables: { SLUICE_KLINES: no/such/folder }
    steps: [expect: { orders: [] }]
# instead:
  - name: prices come from candles
    variables: { SLUICE_KLINES: "" }
    steps: [expect: { orders: [] }])",
     R"(Mend what the other findings say, or set the variables so that the pipeline is fine.)"},

    {Fault::kStoreUnusable,
     R"(The folder is there and cannot be opened as a store: it holds files that are none, or
they cannot be read. A run ends at its start with the same words.)",
     R"($ sluice check --live pipelines/trade.yaml
# instead:
$ SLUICE_DATA=/var/lib/sluice/trade sluice check --live pipelines/trade.yaml)",
     R"(Name the folder that the run writes, or an empty one.)"},

    {Fault::kStorePermission,
     R"(This user may not read or write the folder or a file in it. A run would end at its
start, or in the middle of work when it first needs the file.)",
     R"($ sudo sluice run pipelines/trade.yaml
# instead:
$ sudo chown -R trader var/trade
$ sluice run pipelines/trade.yaml)",
     R"(Give the folder and its files to the user that runs the pipeline.)"},

    {Fault::kStoreDamaged,
     R"(A record or a checkpoint is not what was written: the disk lost or changed bytes, or
somebody edited a file. A run refuses to start on it, so that nothing is built on what
is missing.)",
     R"($ sluice run pipelines/trade.yaml
# instead:
$ sluice store verify pipelines/trade.yaml
$ sluice store repair pipelines/trade.yaml)",
     R"(Look at the extent with `verify`, then move the bad part aside with `repair`; restore if
you can.)"},

    {Fault::kLeftInStore,
     R"(A stream or a group was renamed or removed in the file and is still in the store. What
waits there is handled by nobody, and a group without readers keeps its stream from
being trimmed.)",
     R"($ sed -i 's/group: gate$/group: gate2/' pipelines/trade.yaml
$ sluice check --live pipelines/trade.yaml
# instead:
$ sed -i 's/group: gate2$/group: gate/' pipelines/trade.yaml)",
     R"(Keep the name, or drain the old one before renaming it.)"},

    {Fault::kGroupStartsAtHistory,
     R"(A group that the store does not know begins with the oldest entry that is kept, so its
stage will act on entries from before it was there.)",
     R"($ sluice run pipelines/trade.yaml  # with a stage that is new on a stream with entries
# instead:
$ SLUICE_DATA=var/trade2 sluice run pipelines/trade.yaml)",
     R"(Make sure that the stage may see old entries (its policy can refuse them by age), or
start it on a store without them.)"},

    {Fault::kDiskSpaceLow,
     R"(The log grows by files of 64 MiB, and checkpoints are written beside them. A write that
fails poisons the store: the run ends with code 6.)",
     R"($ SLUICE_DATA=/dev/shm/trade sluice check --live pipelines/trade.yaml
# instead:
$ SLUICE_DATA=/var/lib/sluice/trade sluice check --live pipelines/trade.yaml)",
     R"(Free space, or move the store to a larger disk while nothing runs.)"},

    {Fault::kClockBehind,
     R"(Waits, windows of limits and the expiry of keys count from the clock. One that was set
back makes them last longer than they should: permits and kill switches live on.)",
     R"($ date -s 2020-01-01; sluice run pipelines/trade.yaml
# instead:
$ timedatectl set-ntp true; sluice run pipelines/trade.yaml)",
     R"(Set the clock before the run starts.)"},

    {Fault::kServerEvicts,
     R"(With any `maxmemory-policy` but `noeviction` the server makes room by removing keys.
What tells a duplicate, a permit, a limit or the kill switch would be gone without a
word, and an order could be sent twice. With `noeviction` it refuses writes instead:
hosts wait, and nothing is lost.)",
     R"($ redis-cli config set maxmemory-policy allkeys-lru
# instead:
$ redis-cli config set maxmemory-policy noeviction)",
     R"(Set `maxmemory-policy noeviction`, in the server's file as well, and give pipelines a
server that is no cache.)"},

    {Fault::kServerReplicas,
     R"(`engine.min_replicas` makes what acts on the world wait until so many replicas have the
commit. With fewer of them connected it waits for ever, and says so in the log.)",
     R"($ redis-cli info replication | grep connected_slaves
connected_slaves:0
# instead:
$ redis-cli info replication | grep connected_slaves
connected_slaves:1)",
     R"(Start the replicas, or lower `min_replicas` and accept what a failover may take back.)"},

    {Fault::kServerWeak,
     R"(The server keeps less than a pipeline takes for granted: no append-only file, a write
to the disk that failed, or memory that is nearly used up. What was acked may be gone
after a restart; then an entry is handled again and its dedup key does not know.)",
     R"($ redis-cli config get appendonly
appendonly: no
# instead:
$ redis-cli config set appendonly yes)",
     R"(Set `appendonly yes` and `appendfsync always` (or `everysec`, which a power cut may
cost two seconds), make room on its disk, and raise `maxmemory`.)"},

    {Fault::kEntriesTrimmed,
     R"(Somebody trimmed a stream below the position of a group: XTRIM, XADD with MAXLEN, or
XDEL by another program. The entries are gone, and no stage will see them.)",
     R"($ redis-cli xadd quantum:stream:trade.intent maxlen 1000 '*' payload '{}'
# instead:
$ redis-cli xadd quantum:stream:trade.intent '*' payload '{}')",
     R"(Leave trimming to `keep:` of the pipeline file, which waits for every group. Find out
from the producer what was lost.)"},

    {Fault::kOtherHosts,
     R"(Hosts run this pipeline with another program, other plugins or another file. They share
its groups, so an entry would be handled one way or the other, as it happens. A run is
refused here. The finding says what differs, docs/redis.md what is compared.)",
     R"($ sluice run pipelines/trade.yaml
# instead:
$ systemctl stop sluice@trade    # on the hosts that the finding names
$ sluice run pipelines/trade.yaml)",
     R"(Bring the same program, plugins and file to every host, or stop the others first. For
a rolling update start the new ones with `run --mixed`.)"},

    {Fault::kHostsMixed,
     R"(A host was started with `--mixed` beside others that run something else, and both
live. Which of them handles an entry is chance.)",
     R"($ sluice run --mixed pipelines/trade.yaml
# instead:
$ sluice run pipelines/trade.yaml)",
     R"(Finish the update: stop the hosts that run what is old.)"},

    {Fault::kKeyExpires,
     R"(A stage waits for a key, such as a permit, longer than the key lives. A permit that comes
early is gone before the gate takes it, and a plan that both permits allowed ends as not
permitted.)",
     R"(-- lua/governor.lua
return {
  permit_ttl = function(plan) return 1 * s end, -- the gate waits longer
}
-- instead:
return {
  permit_ttl = function(plan) return 60 * s end,
})",
     R"(Let the key live at least as long as the finding says, or shorten the wait.)"},

    {Fault::kEntryGoesStale,
     R"(The waits and retries on the way to this stage can add up to more than the age at which it
gives entries up. Whenever the pipeline is slow, sound entries end there unused.)",
     R"(-- lua/execution.lua
return {
  intent_age_max = function(intent) return 30 * s end,
}
-- instead:
return {
  intent_age_max = function(intent) return 600 * s end,
})",
     R"(Raise the age to what the finding says, or shorten the waits it lists.)"},
});

constexpr Explanation kNone{};

std::string_view language(std::string_view example) {
  return example.starts_with("$ ") ? "sh" : example.starts_with("-- ") ? "lua" : "yaml";
}

std::string_view severity_name(Severity severity) {
  return severity == Severity::kError ? "error" : "warning";
}

}  // namespace

const Explanation& explanation(Fault fault) {
  const auto found = std::ranges::find(kTexts, fault, &Explanation::fault);
  return found == kTexts.end() ? kNone : *found;
}

std::string findings_markdown() {
  std::string out =
      "# Findings of `sluice check`\n\n"
      "Each finding has a code that keeps its meaning; a code that is no longer used is not given "
      "out again.\n"
      "Errors stop `run`; warnings do not. `sluice explain S0311` prints one of the sections "
      "below.\n\n"
      "Examples show the keys concerned; the rest of the file is as in "
      "[trade.yaml](../pipelines/trade.yaml).\n\n"
      "| code | severity | what it says |\n"
      "|---|---|---|\n";
  for (const FaultInfo& info : fault_table()) {
    out += fmt::format("| [S{0:04}](#s{0:04}) | {1} | {2} |\n", static_cast<int>(info.fault),
                       severity_name(info.severity), info.title);
  }
  for (const FaultInfo& info : fault_table()) {
    const Explanation& texts = explanation(info.fault);
    out += fmt::format("\n## {}\n\n**{}: {}.**\n\n{}\n\n```{}\n{}\n```\n\n{}\n",
                       fault_code(info.fault), severity_name(info.severity), info.title,
                       texts.cause, language(texts.example), texts.example, texts.remedy);
  }
  return out;
}

}  // namespace sluice::graph
