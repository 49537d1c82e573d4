// The audit: checks every gradient against finite differences, and replays recorded runs.
#pragma once

#include <string>
#include <vector>

#include "ops/check/cases.h"

namespace kdef {

/// A gradient check of an op (ops/check/cases.h lists them), or of a layer, network, embedding or objective.
struct AuditCase {
  std::string name, variant;
  const OpInfo* op = nullptr;  // null if the case is not about one op
  std::function<ops::GradientReport()> check;
};

/// For test output.
inline void PrintTo(const AuditCase& c, std::ostream* out) {
  *out << c.name << (c.variant.empty() ? "" : ", ") << c.variant;
}

/// The checks of every op, layer and objective on `device`, in a fixed order.
std::vector<AuditCase> audit_cases(Device device = kCpu);

/// Compares one op on the CPU and on a device in fp32: values and gradients.
struct DeviceComparison {
  std::string op, variant;
  double deviation = 0;  // largest |a - b| / max(1, |b|), where b is of the CPU
  bool passed() const { return deviation <= kDeviceTolerance; }
  /// Sums in fp32 have another order on a device, and exp and log differ in the last bits.
  static constexpr double kDeviceTolerance = 2e-5;
};
/// Compares every op.
std::vector<DeviceComparison> compare_devices(Device device);
/// A Markdown table with one row per op: the largest deviation between the CPU and `device` in fp32, and the largest
/// deviation of the device's gradient from differences in fp64, over all cases of the op.
std::string device_markdown(Device device);

/// Checks that the audit can fail: returns the names of faults that it does not catch (none) among a wrong sign, a
/// transposed gradient, a missing term and others.
std::vector<std::string> audit_self_test();

/// Checks the stop-gradients of the objectives: teachers pass no gradient, the examination of KDEF passes one.
/// Returns a sentence per violation (none).
std::vector<std::string> audit_stop_gradients();

/// The text of docs/gradients.md: every op with its formulas, and how they are checked.
std::string gradients_markdown();

/// The comparison of one group of tensors of a fixture.
struct FixtureRow {
  std::string group;
  int64_t tensors = 0;
  double absolute = 0;   // largest |a - b|
  double relative = 0;   // largest max|a - b| / size of a tensor; size: max|b|, of a bias's gradient see `note`
  double tolerance = 0;  // for the relative deviation; 0: the row is shown, not judged
  std::string worst;     // tensor with the largest relative deviation
  std::string note;
  bool passed = true;
};

/// Replays a file of recorded runs, losses, metrics or networks (format: tests/fixtures/README.md) on `device`, with
/// the fused or the composed objective, embeddings and optimizer. Throws InputError for a file of another format.
std::vector<FixtureRow> audit_fixture(const std::string& path, bool fused, Device device = kCpu);

/// What the checks of audit_cases() find if an op is made wrong.
struct BreakReport {
  int64_t concerned = 0;  // checks whose tape has the op
  struct Failure {
    std::string name, variant;
    ops::GradientReport report;
  };
  std::vector<Failure> failures;
};
/// Throws InputError for an op that no check has, or an input that it does not have.
BreakReport audit_broken(const ops::BrokenOp& op, Device device = kCpu);

}  // namespace kdef
