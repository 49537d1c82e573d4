#include <iostream>

#include "apps/commands.h"
#include "apps/terminal.h"
#include "core/io/file.h"
#include "kdef/audit/audit.h"
#include "ops/gemm/gemm.h"

namespace kdef::apps {
namespace {

bool audit_device(Device device) {
  int64_t failed = 0, cases = 0;
  print("%-34s %-40s %12s\n", "op, in fp32", "case", cat("cpu - ", name_of(device)).c_str());
  for (const DeviceComparison& c : compare_devices(device)) {
    print("%-34s %-40s %12.2e  %s\n", c.op.c_str(), c.variant.c_str(), c.deviation, c.passed() ? "ok" : "FAILED");
    failed += !c.passed();
    ++cases;
  }
  print("%lld cases on both devices, tolerance %.0e: %s\n\n", static_cast<long long>(cases),
        DeviceComparison::kDeviceTolerance, failed ? cat(failed, " failed").c_str() : "all agree");
  return failed == 0;
}

bool audit_gradients(Device device) {
  int64_t failed = 0, derivatives = 0, cases = 0;
  print("%-34s %-40s %12s %8s\n", "op or layer", "case", "deviation", "checked");
  for (const AuditCase& c : audit_cases(device)) {
    const ops::GradientReport report = c.check();
    print("%-34s %-40s %12.2e %8lld  %s\n", c.name.c_str(), c.variant.c_str(), report.deviation,
          static_cast<long long>(report.elements), report.passed() ? "ok" : ("FAILED: " + report.worst).c_str());
    failed += !report.passed();
    derivatives += report.elements;
    ++cases;
  }
  for (const std::string& missed : audit_self_test()) {
    print("self-test FAILED: the check did not notice %s\n", missed.c_str());
    ++failed;
  }
  for (const std::string& broken : audit_stop_gradients()) {
    print("stop-gradients FAILED: %s\n", broken.c_str());
    ++failed;
  }
  print("%lld partial derivatives in %lld cases, tolerance %.0e: %s\n", static_cast<long long>(derivatives),
        static_cast<long long>(cases), ops::kGradientTolerance,
        failed ? cat(failed, " failed").c_str() : "all agree; self-test and stop-gradients hold");
  return failed == 0;
}

bool audit_file(const std::string& path, Device device) {
  bool passed = true;
  for (const bool fused : {true, false}) {
    print("%s, %s\n  %-50s %7s %10s %10s %10s\n", path.c_str(), fused ? "fused" : "composed", "group", "tensors",
          "absolute", "relative", "tolerance");
    const std::vector<FixtureRow> rows = audit_fixture(path, fused, device);
    for (const FixtureRow& r : rows) {
      const std::string tolerance = r.tolerance > 0 ? scientific(r.tolerance, 0) : "-";
      print("  %-50s %7lld %10.2e %10.2e %10s  %s%s\n", r.group.c_str(), static_cast<long long>(r.tensors), r.absolute,
            r.relative, tolerance.c_str(),
            r.passed ? (r.tolerance > 0 ? "ok" : "shown") : ("FAILED: " + r.worst).c_str(),
            r.note.empty() ? "" : ("  (" + r.note + ")").c_str());
      passed = passed && r.passed;
    }
    passed = passed && !rows.empty();
  }
  return passed;
}

}  // namespace

int audit(const Arguments& arguments) {
  using Paths = std::vector<std::string>;
  po::options_description options;
  options.add_options()("ops", po::bool_switch(), "check the gradients of every op, layer, network and objective");
  options.add_options()("fixture", po::value<Paths>()->value_name("FILE...")->multitoken(),
                        "replay recorded runs, losses or metrics, with fused and with composed ops");
  options.add_options()("dot", po::value<std::string>()->value_name("FILE"),
                        "write the tape of a small ensemble's loss as a Graphviz graph");
  options.add_options()("tape", po::bool_switch(), "print the same tape line by line");
  options.add_options()("markdown", po::bool_switch(),
                        "print docs/gradients.md; with --device cuda, print the table of docs/gpu.md");
  add_device_option(options);
  const auto parsed = parse({"audit", "[--ops] [--fixture FILE...] [--dot FILE]",
                             "Checks gradients against central differences in fp64. Replays recorded PyTorch runs\n"
                             "and prints the largest absolute and relative deviation of each group of tensors.\n"
                             "Without options it does --ops. With --device cuda it checks the gradients on that\n"
                             "device and compares every op with the CPU. The exit status is 0 only if everything\n"
                             "is within its tolerance."},
                            options, arguments);
  if (!parsed) return kDone;
  limit_spinning();
  const Device device = use_device(*parsed);
  bool passed = true, anything = false;
  if (parsed->flag("markdown")) {
    std::cout << (device.is_cpu() ? gradients_markdown() : device_markdown(device)) << std::flush;
    anything = true;
  }
  if (parsed->flag("tape")) {
    std::cout << audit_tape_text() << std::flush;
    anything = true;
  }
  if (parsed->has("dot")) {
    write_file(parsed->text("dot"), audit_tape_dot(), NamedBy::user);
    anything = true;
  }
  if (parsed->has("fixture")) {
    for (const std::string& path : parsed->options["fixture"].as<Paths>()) passed = audit_file(path, device) && passed;
    anything = true;
  }
  if (parsed->flag("ops") || !anything) {
    if (!device.is_cpu()) passed = audit_device(device) && passed;
    passed = audit_gradients(device) && passed;
  }
  return passed ? kDone : kCheckFailed;
}

}  // namespace kdef::apps
