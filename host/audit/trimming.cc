#include "audit/trimming.h"

#include "audit/judge.h"

namespace sluice::audit {

namespace {

constexpr size_t kPendingMax = 1'000'000;

}  // namespace

std::vector<Offence> trimmed_unacked(const stream::StreamInfo& stream,
                                     const stream::GroupInfo& group,
                                     std::span<const stream::PendingInfo> pending) {
  std::vector<Offence> offences;
  for (const stream::PendingInfo& entry : pending) {
    if (stream.length > 0 && entry.id >= stream.first) continue;
    offences.push_back({"entry " + entry.id.text(), stream.name, entry.id,
                        "trimmed while group " + group.name + " still had it pending; " +
                            (stream.length > 0 ? "the oldest entry kept is " + stream.first.text()
                                               : std::string("nothing is kept"))});
  }
  return offences;
}

bool may_have_missed(const stream::StreamInfo& stream, const stream::GroupInfo& group) {
  // A trim that waits for groups stops at what they have not acked, so the stream is longer than
  // it has to be; one that does not wait leaves exactly what is to be kept.
  const bool trimmed = stream.entries_added > stream.length;
  return trimmed && stream.keep > 0 && stream.length <= stream.keep && group.lag > 0 &&
         group.lag == stream.length && group.last_delivered < stream.first;
}

Result<Finding> judge_trimming(const Evidence& evidence, const stream::Store& store,
                               const Options& options) {
  Bench bench(7, "nothing trimmed that a group had not acked", "groups", options);
  for (const StreamState& state : evidence.streams) {
    for (const stream::GroupInfo& group : state.info.groups) {
      bench.look();
      stream::StreamInfo info = state.info;
      info.keep = state.spec->keep;
      SLUICE_ASSIGN(pending, store.pending_entries(group.id, kPendingMax));
      const auto lost = trimmed_unacked(info, group, pending);
      for (const Offence& offence : lost)
        if (!state.spec->trim_hard) bench.offend(offence);
      if (state.spec->trim_hard && (!lost.empty() || may_have_missed(info, group)))
        bench.note(info.name + ": trim: hard; group " + group.name +
                   " may have missed entries up to " + info.first.text());
      else if (may_have_missed(info, group))
        bench.note(info.name + ": the oldest entry kept, " + info.first.text() +
                   ", is the first that group " + group.name +
                   " has not been given; whether it had everything older cannot be told");
    }
  }
  if (evidence.streams.empty()) bench.note("the pipeline has no streams");
  return bench.done();
}

}  // namespace sluice::audit
