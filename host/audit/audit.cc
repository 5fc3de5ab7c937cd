#include "audit/audit.h"

#include <algorithm>

#include "audit/judge.h"

namespace sluice::audit {

Verdict Finding::verdict() const {
  if (!offences.empty()) return Verdict::kBroken;
  return looked_at == 0 && !notes.empty() ? Verdict::kNotJudged : Verdict::kHolds;
}

bool Report::holds() const {
  return std::all_of(findings.begin(), findings.end(),
                     [](const Finding& f) { return f.verdict() != Verdict::kBroken; });
}

std::string Report::text() const {
  std::string text;
  for (const Finding& finding : findings) {
    if (finding.verdict() != Verdict::kBroken) continue;
    text += "invariant " + std::to_string(finding.number) + " is broken: " + finding.name + '\n';
    for (const Offence& offence : finding.offences)
      text += "  " + offence.subject + " (" + offence.stream + ' ' + offence.id.text() +
              "): " + offence.what + '\n';
  }
  return text;
}

Result<Report> audit(const graph::Pipeline& pipeline, const stream::Store& store,
                     const Options& options) {
  SLUICE_ASSIGN(evidence, Evidence::read(pipeline, store));
  Report report;
  report.findings.push_back(judge_endings(evidence, options));
  report.findings.push_back(judge_orders_per_leg(evidence, options));
  report.findings.push_back(judge_permits(evidence, options));
  SLUICE_ASSIGN(kill_switch, judge_kill_switch(evidence, store, options));
  report.findings.push_back(std::move(kill_switch));
  report.findings.push_back(judge_limits(evidence, options));
  SLUICE_ASSIGN(ledger, judge_ledger(evidence, store, options));
  report.findings.push_back(std::move(ledger));
  SLUICE_ASSIGN(trimming, judge_trimming(evidence, store, options));
  report.findings.push_back(std::move(trimming));
  report.findings.push_back(judge_duplicates(evidence, options));
  return report;
}

}  // namespace sluice::audit
