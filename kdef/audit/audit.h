// The audit: every gradient against finite differences, and recorded runs replayed.
#pragma once

#include <string>
#include <vector>

#include "ops/check/cases.h"

namespace kdef {

/// Layers, networks, embeddings, objectives: what is built from ops, with the same check (ops/check/cases.h lists the
/// ops). `info` of a case is null where it is not one op.
struct AuditCase {
  std::string name, variant;
  const OpInfo* op = nullptr;  // for the formulas
  std::function<ops::GradientReport()> check;
};

/// For test output.
inline void PrintTo(const AuditCase& c, std::ostream* out) {
  *out << c.name << (c.variant.empty() ? "" : ", ") << c.variant;
}

/// Every op, layer and objective, in a fixed order, to be checked on `device`.
std::vector<AuditCase> audit_cases(Device device = kCpu);

/// One op on the CPU and on `device`, in fp32: values and gradients.
struct DeviceComparison {
  std::string op, variant;
  double deviation = 0;  // largest |a - b| / max(1, |b|), b the CPU's
  bool passed() const { return deviation <= kDeviceTolerance; }
  /// Sums of fp32 in another order, and other last bits of exp and log.
  static constexpr double kDeviceTolerance = 2e-5;
};
/// Every op.
std::vector<DeviceComparison> compare_devices(Device device);
/// A table in Markdown: every op on the CPU and on `device`, the largest deviation between them in fp32, and that of
/// the gradient on the device from differences in fp64; the worst case of each op.
std::string device_markdown(Device device);

/// Asserts that the audit can fail: checks ops with a wrong sign, a transposed gradient and a missing term, and returns
/// the names of those that were not caught (none).
std::vector<std::string> audit_self_test();

/// Stop-gradients of the objective: what must be zero is zero, and the examination's edges are not. Empty if all holds.
std::vector<std::string> audit_stop_gradients();

/// docs/gradients.md: every op with its formulas, and how they are checked.
std::string gradients_markdown();

/// One group of tensors of a fixture, compared.
struct FixtureRow {
  std::string group;
  int64_t tensors = 0;
  double absolute = 0;   // largest |a - b|
  double relative = 0;   // largest max|a - b| / size of a tensor; size: max|b|, of a bias's gradient see `note`
  double tolerance = 0;  // of the relative deviation; 0: shown, not judged
  std::string worst;     // tensor with the largest relative deviation
  std::string note;
  bool passed = true;
};

/// Replays a recorded run, loss or metric file in the format of tests/fixtures/README.md, with the fused or the
/// composed objective, embeddings and optimizer, on `device`. Throws InputError for a file of another format.
std::vector<FixtureRow> audit_fixture(const std::string& path, bool fused, Device device = kCpu);

/// The tape of a small ensemble's loss as a Graphviz digraph / line by line.
std::string audit_tape_dot();
std::string audit_tape_text();

}  // namespace kdef
