/* The plain C table between the sluice host and a stage plugin. Compiles as C11 and C++20.
 *
 * A plugin exports one constant, `sluice_plugin_v1`. Everything else is reached from it. Plugin
 * authors normally include "sluice/plugin.h" and never see this page.
 *
 * Rules of the edge
 *   - Structures the plugin hands over are constant for the life of the library. Fields are
 *     appended, never moved; sizes stand in the table so that arrays can grow their elements.
 *   - Who allocates frees. Arguments are views until the call returns; what the plugin passes to
 *     a host call is copied before that call returns.
 *   - No exception crosses. Function pointers return a code below; the text goes to `explain`.
 *   - Text is UTF-8 with a size, not zero-terminated, except `const char*` in descriptions.
 *   - Durations are microseconds in an int64_t. Times are microseconds since the Unix epoch, UTC.
 */
#ifndef SLUICE_ABI_H
#define SLUICE_ABI_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#define SLUICE_NOEXCEPT noexcept
#else
#define SLUICE_NOEXCEPT
#endif

#define SLUICE_ABI_MAJOR 1u
#define SLUICE_ABI_MINOR 2u
#define SLUICE_PLUGIN_SYMBOL "sluice_plugin_v1"

typedef struct sluice_text {
  const char* data;
  size_t size;
} sluice_text;

typedef struct sluice_field {
  sluice_text name;
  sluice_text value;
} sluice_field;

/* Types of settings, hook results and hook arguments. Never renumbered. */
enum {
  SLUICE_NULL = 0,
  SLUICE_TEXT = 1,
  SLUICE_INTEGER = 2,  /* int64 */
  SLUICE_NUMBER = 3,   /* double */
  SLUICE_BOOLEAN = 4,  /* integer 0 or 1 */
  SLUICE_DECIMAL = 5,  /* exact decimal as text, `^-?[0-9]+(\.[0-9]+)?$` */
  SLUICE_DURATION = 6, /* integer, microseconds; YAML writes 300ms, 10s, 5m, 1h, 1d */
  SLUICE_LIST = 7,     /* array of sluice_text */
  SLUICE_RECORD = 8    /* array of sluice_member; arguments only */
};

typedef struct sluice_value {
  uint32_t type;
  uint32_t reserved;
  int64_t integer;
  double number;
  sluice_text text;
  const void* items; /* sluice_text[count] or sluice_member[count] */
  size_t count;
} sluice_value;

typedef struct sluice_member {
  sluice_text name;
  sluice_value value;
} sluice_member;

/* ---- Descriptions ---- */

/* A setting of a stage, or one value a hook returns. */
typedef struct sluice_param {
  const char* name;
  const char* doc;
  uint32_t type;
  uint32_t reserved;
  const char* unit;         /* what a bare number counts, e.g. "USDT"; NULL when obvious */
  const char* default_text; /* as written in YAML; NULL: required */
  const char* min_text;     /* NULL: unbounded */
  const char* max_text;
  const char* const* choices; /* NULL-terminated; NULL: any */
} sluice_param;

/* One argument of a hook. */
typedef struct sluice_arg {
  const char* name;
  uint32_t type; /* SLUICE_TEXT or SLUICE_RECORD */
  uint32_t reserved;
  const char* const* fields; /* RECORD: names a policy may read, NULL-terminated */
} sluice_arg;

/* A function (or, without arguments, a plain value) that a policy file may give. */
typedef struct sluice_hook {
  const char* name;
  const char* doc;
  const sluice_arg* args;
  size_t arg_count;
  const sluice_param* results; /* one: the value itself; several: a table with these keys */
  size_t result_count;         /* each has a default, used when the policy has no such hook */
} sluice_hook;

enum {
  SLUICE_PORT_OPTIONAL = 1u, /* may stay unwired; what is emitted there is dropped */
  SLUICE_PORT_MANY = 2u      /* stands for any name the pipeline file wires; its own name is "*" */
};

typedef struct sluice_port {
  const char* name;
  const char* doc;
  uint32_t flags;
  uint32_t reserved;
  const char* const* fields; /* written (output) or needed (input), NULL-terminated; NULL: any */
} sluice_port;

enum {
  SLUICE_KEY_READS = 1u,
  SLUICE_KEY_WRITES = 2u,
  SLUICE_KEY_COUNTER = 4u,
  SLUICE_KEY_TAKES = 8u, /* since 1.1: waits for the key and uses it up */
  SLUICE_KEY_OWNS = 16u  /* since 1.1: two stages of one pipeline that both own it are a fault */
};

/* A family of keys a stage touches, e.g. "quantum:permit:{plan_id}". A doubled brace is a hash
 * tag: "quantum:position:{{symbol}}" keeps all keys of a symbol in one slot of a cluster. */
typedef struct sluice_key {
  const char* pattern;
  const char* doc;
  uint32_t access;
  uint32_t reserved;
} sluice_key;

/* What a duration means for the time an entry spends in the pipeline. Never renumbered. */
enum {
  SLUICE_TIME_WAIT = 1,    /* an entry may be parked in this stage for so long */
  SLUICE_TIME_AGE_MAX = 2, /* an entry older than this ends here */
  SLUICE_TIME_TTL = 3      /* keys of one family written here live so long */
};

/* A duration that `check` adds up along each path of a pipeline. Since 1.1. */
typedef struct sluice_time {
  const char* source; /* a setting, a hook with one result, or "hook.result" */
  uint32_t role;      /* SLUICE_TIME_* */
  uint32_t reserved;
  const char* pattern; /* TTL: pattern of one of the kind's keys */
} sluice_time;

enum { SLUICE_COUNTER = 0, SLUICE_GAUGE = 1 };

/* A metric a kind counts, in Prometheus' terms; `sluice_` in front is the host's. Since 1.2. */
typedef struct sluice_metric {
  const char* name; /* unit last: "permit_wait_ms", "plans_total" */
  const char* doc;
  uint32_t type; /* SLUICE_COUNTER or SLUICE_GAUGE */
  uint32_t reserved;
  const char* const* labels; /* names, NULL-terminated; NULL: none */
} sluice_metric;

enum sluice_kind_type { SLUICE_STAGE = 0, SLUICE_SOURCE = 1, SLUICE_EXTERNAL = 2 };

/* ---- What the host offers during a call ---- */

/* What a stage returns. */
enum sluice_verdict {
  SLUICE_ACK = 0,    /* commit conditions, effects and ack */
  SLUICE_WAIT = 1,   /* park; says on what with `wait_on` */
  SLUICE_RETRY = 2,  /* again later; `retry_after`, `explain` */
  SLUICE_REJECT = 3, /* dead letter; `explain` gives the reason */
  SLUICE_ACT = 4,    /* external only: commit without ack, then call `act` */
  SLUICE_AGAIN = 5,  /* a `get` answered SLUICE_GET_PENDING: call again with the value */
  SLUICE_FAILED = 6  /* the plugin caught an exception; `explain` has its text; counts as retry */
};

enum { SLUICE_GET_ABSENT = 0, SLUICE_GET_TEXT = 1, SLUICE_GET_FIELDS = 2, SLUICE_GET_PENDING = 3 };

enum { SLUICE_WINDOW_FIXED = 0, SLUICE_WINDOW_SLIDING = 1 };

enum sluice_condition {
  SLUICE_CLAIM = 0,
  SLUICE_TAKE = 1,
  SLUICE_RESERVE = 2,
  SLUICE_UNCHANGED = 3
};

/* Why a unit of this entry was not applied. Set on the second call only. */
typedef struct sluice_failure {
  uint32_t condition;   /* sluice_condition */
  uint32_t met_present; /* claim, unchanged: 1 when a value is there */
  sluice_text key;
  sluice_text met_text; /* that value, when it is text */
  int64_t met_count;    /* reserve: the counter as it is */
  int64_t met_until_us; /* reserve: when its window makes room; 0: never */
} sluice_failure;

enum { SLUICE_LOG_DEBUG = 0, SLUICE_LOG_INFO = 1, SLUICE_LOG_WARNING = 2, SLUICE_LOG_ERROR = 3 };

/* Host calls. `call` is the pointer the plugin was given with the call. A host newer than the
 * plugin has a larger table; check `struct_size` before using a later function. */
typedef struct sluice_host {
  size_t struct_size;
  uint32_t abi_minor;
  uint32_t reserved;

  /* The entry (process, settle). */
  int64_t (*now_us)(void* call);
  sluice_text (*input)(void* call);    /* name of the input port */
  sluice_text (*entry_id)(void* call); /* "ms-seq" */
  uint32_t (*delivery_count)(void* call);
  int64_t (*first_delivered_us)(void* call);
  size_t (*field_count)(void* call);
  int32_t (*field_at)(void* call, size_t index, sluice_field* out); /* 1 or 0 */
  int32_t (*field)(void* call, sluice_text name, sluice_text* out); /* 1 or 0 */

  /* Values under keys. Views stay valid until the verdict is returned. */
  int32_t (*get)(void* call, sluice_text key, sluice_text* out); /* SLUICE_GET_* */
  int32_t (*get_field)(void* call, sluice_text key, sluice_text name, sluice_text* out);

  /* Policy. `results` has room for the hook's result_count. 0: done; -1: the policy failed and the
   * host rejects the entry with `policy_error`, whatever verdict follows. */
  int32_t (*policy)(void* call, sluice_text hook, const sluice_value* args, size_t arg_count,
                    sluice_value* results, size_t result_count);
  sluice_text (*policy_version)(void* call);

  /* Conditions. */
  void (*claim)(void* call, sluice_text key, sluice_text value, int64_t ttl_us);
  void (*take)(void* call, sluice_text key);
  void (*reserve)(void* call, sluice_text counter, int64_t amount, int64_t limit,
                  uint32_t window_kind, int64_t window_us);
  void (*unchanged)(void* call,
                    sluice_text key); /* key must have been read with `get` in this call */
  int32_t (*failure)(void* call, sluice_failure* out); /* 1: this is the second call */

  /* Effects. */
  int32_t (*emit)(void* call, sluice_text port, const sluice_field* fields,
                  size_t count); /* -1: no such port */
  void (*put)(void* call, sluice_text key, sluice_text value, int64_t ttl_us); /* ttl 0: for ever */
  void (*put_fields)(void* call, sluice_text key, const sluice_field* fields, size_t count,
                     int64_t ttl_us);
  void (*erase)(void* call, sluice_text key);
  void (*release)(void* call, sluice_text counter, int64_t amount, int64_t reserved_at_us);

  /* What goes with a verdict. */
  void (*explain)(void* call, sluice_text reason, sluice_text detail);
  void (*wait_on)(void* call, const sluice_text* keys, size_t count, int64_t until_us);
  void (*retry_after)(void* call, int64_t after_us);
  void (*act_request)(void* call, sluice_text idempotency_key, const sluice_field* fields,
                      size_t count);

  void (*log)(void* call, uint32_t level, sluice_text text);

  /* External and source calls only. */
  uint64_t (*random)(void* call);
  int32_t (*request_field)(void* call, sluice_text name,
                           sluice_text* out); /* act, settle: the request */
  sluice_text (*idempotency_key)(void* call);
  int64_t (*requested_us)(void* call); /* when the request became durable */
  int32_t (*recovered)(void* call);    /* act: 1 when an earlier process may already have acted */
  void (*outcome)(void* call, const sluice_field* fields,
                  size_t count); /* act: what the world said */
  int32_t (*outcome_field)(void* call, sluice_text name, sluice_text* out); /* settle */

  /* NULL when the host does not know the extension, e.g. "sluice.metrics/1". */
  const void* (*extension)(void* call, const char* id);
} sluice_host;

#define SLUICE_METRICS_EXTENSION "sluice.metrics/1"

/* Metrics of the kind's description; `labels` are all of a metric's, in any order. What is said in
 * a call takes effect with the commit of its unit, once, or with the dead letter of a reject; a
 * wait or retry drops it. A name or label set that is not described makes the host reject the
 * entry with `plugin_error`. Not in `act`. */
typedef struct sluice_metrics {
  size_t struct_size;
  /* Counters: adds `amount`, which is not negative. */
  void (*count)(void* call, sluice_text name, const sluice_field* labels, size_t label_count,
                double amount);
  /* Gauges: the value from now on. */
  void (*gauge)(void* call, sluice_text name, const sluice_field* labels, size_t label_count,
                double value);
  /* Gauges: from now on what is reserved under `counter` at each look, as its window counts it. */
  void (*gauge_reserved)(void* call, sluice_text name, const sluice_field* labels,
                         size_t label_count, sluice_text counter);
} sluice_metrics;

typedef struct sluice_call {
  const sluice_host* host;
  void* call;
} sluice_call;

/* Settings of one stage, complete: defaults are filled in, types and ranges were checked by the
 * host. */
typedef struct sluice_settings {
  size_t struct_size;
  void* context;
  int32_t (*get)(void* context, sluice_text name, sluice_value* out); /* 1 or 0 */
  sluice_text stage;    /* name of the stage in the pipeline file */
  sluice_text pipeline; /* name of the pipeline */
  /* `check`, `open`: says what is wrong, `setting` may be empty. Copies. */
  void (*complain)(void* context, sluice_text setting, sluice_text text);
} sluice_settings;

/* What `act` returns. */
enum sluice_act {
  SLUICE_ACT_DONE = 0,  /* `outcome` was called; the host settles */
  SLUICE_ACT_LATER = 1, /* not known yet; called again after `retry_after`, with `recovered` 1 */
  SLUICE_ACT_FAILED = 2 /* exception; treated as LATER with back-off, never as "did not happen" */
};

/* What `poll` returns. */
enum sluice_poll {
  SLUICE_POLL_MORE = 0, /* commit what was emitted and call again at once */
  SLUICE_POLL_IDLE = 1, /* commit; call again after `retry_after` */
  SLUICE_POLL_END = 2,  /* commit; nothing will ever come */
  SLUICE_POLL_FAILED = 3
};

/* ---- The table ---- */

typedef struct sluice_kind {
  const char* kind; /* `use: plugin.kind`, or `use: plugin` when there is one */
  const char* doc;
  uint32_t type; /* sluice_kind_type */
  uint32_t reserved;
  const sluice_port* inputs;
  size_t input_count;
  const sluice_port* outputs;
  size_t output_count;
  const sluice_param* settings;
  size_t setting_count;
  const sluice_hook* hooks;
  size_t hook_count;
  const sluice_key* keys;
  size_t key_count;
  const char* const* reasons; /* of reject and of terminal records, NULL-terminated */

  /* 0: fine; otherwise `settings->complain` was called. Pure. May be NULL. */
  int32_t (*check)(const sluice_settings* settings) SLUICE_NOEXCEPT;
  /* 0 and an instance; otherwise `settings->complain` was called. [control] */
  int32_t (*open)(const sluice_settings* settings, void** instance) SLUICE_NOEXCEPT;
  void (*close)(void* instance) SLUICE_NOEXCEPT;

  /* Stages and external stages. Pure. [worker] */
  int32_t (*process)(void* instance, const sluice_call* call) SLUICE_NOEXCEPT;
  /* External: touches the world; may block. [any], at most `concurrency` at once. */
  int32_t (*act)(void* instance, const sluice_call* call) SLUICE_NOEXCEPT;
  /* External: turns request and outcome into a unit; verdict ACK or RETRY. Pure. [worker] */
  int32_t (*settle)(void* instance, const sluice_call* call) SLUICE_NOEXCEPT;
  /* Source. [worker] */
  int32_t (*poll)(void* instance, const sluice_call* call) SLUICE_NOEXCEPT;

  /* Since 1.1. */
  const sluice_time* times;
  size_t time_count;

  /* Since 1.2. */
  const sluice_metric* metrics;
  size_t metric_count;
} sluice_kind;

typedef struct sluice_plugin {
  size_t struct_size;     /* sizeof(sluice_plugin) as the plugin saw it */
  uint32_t abi_major;     /* SLUICE_ABI_MAJOR it was built with */
  uint32_t abi_minor_min; /* lowest host minor it can work with */
  const char* name;
  const char* version;
  const char* doc;
  const sluice_kind* kinds;
  size_t kind_count;
  /* Element sizes as the plugin saw them, so that arrays can grow. */
  size_t kind_size, port_size, param_size, hook_size, arg_size, key_size;
  size_t time_size;   /* since 1.1 */
  size_t metric_size; /* since 1.2 */
} sluice_plugin;

#ifdef __cplusplus
}
#endif
#endif
