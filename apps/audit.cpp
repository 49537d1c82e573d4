#include <iostream>

#include "apps/commands.h"
#include "apps/terminal.h"
#include "core/io/file.h"
#include "kdef/audit/audit.h"
#include "kdef/audit/examples.h"
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

// "sub" or "sub:1"
ops::BrokenOp broken_op(const std::string& text) {
  const size_t colon = text.find(':');
  ops::BrokenOp op{text.substr(0, colon)};
  if (colon != std::string::npos && (!read_number(text.substr(colon + 1), op.input) || op.input < 0)) {
    throw InputError(cat("--break ", text, ": '", text.substr(colon + 1),
                         "' is no input; give OP, or OP:N with N = 0 for its first input"));
  }
  return op;
}

void audit_break(const ops::BrokenOp& op, Device device) {
  constexpr size_t kShown = 20;
  const BreakReport broken = audit_broken(op, device);
  print("'%s' passes back %s with the wrong sign.\n\n", op.name.c_str(),
        op.input < 0 ? "its gradient" : cat("the gradient of its input ", op.input).c_str());
  for (size_t i = 0; i < std::min(kShown, broken.failures.size()); ++i) {
    const BreakReport::Failure& f = broken.failures[i];
    print("FAILED by %.2e  %s%s%s\n    %s\n", f.report.deviation, f.name.c_str(), f.variant.empty() ? "" : ", ",
          f.variant.c_str(), f.report.worst.c_str());
  }
  if (broken.failures.size() > kShown) print("... and %zu more\n", broken.failures.size() - kShown);
  print("\n%zu of the %lld checks that use '%s' failed%s.\n", broken.failures.size(),
        static_cast<long long>(broken.concerned), op.name.c_str(), broken.failures.empty() ? ": no check noticed" : "");
}

// What --example, --tape, --dot and --break ask for, and whether all agrees; nothing if none of them is given.
std::optional<bool> audit_example(const Parsed& parsed, Device device) {
  const Example& example = find_example(parsed.has("example") ? parsed.text("example") : "logistic");
  const std::optional<ops::BrokenOp> broken =
      parsed.has("break") ? std::optional(broken_op(parsed.text("break"))) : std::nullopt;
  const bool values = parsed.flag("values"), tape = parsed.flag("tape"), dot = parsed.has("dot");
  if (values && !tape) throw InputError("--values shows the values of --tape; give both");
  if (tape && !values) std::cout << tape_text(example) << std::flush;
  if (dot) write_file(parsed.text("dot"), tape_dot(example), NamedBy::user);
  if (values || (parsed.has("example") && (broken || (!tape && !dot)))) {
    const WorkedExample page = worked(example, broken);
    std::cout << page.text << std::flush;
    return page.agrees && !broken;
  }
  if (broken) {
    audit_break(*broken, device);
    return false;
  }
  return tape || dot ? std::optional(true) : std::nullopt;
}

}  // namespace

int audit(const Arguments& arguments) {
  using Paths = std::vector<std::string>;
  po::options_description options;
  options.add_options()("ops", po::bool_switch(), "check the gradients of every op, layer, network and objective");
  options.add_options()("fixture", po::value<Paths>()->value_name("FILE...")->multitoken(),
                        "replay recorded runs, losses or metrics, with fused and with composed ops");
  options.add_options()("dot", po::value<std::string>()->value_name("FILE"),
                        "write the tape of an example as a Graphviz graph");
  options.add_options()("tape", po::bool_switch(), "print the tape of an example line by line");
  options.add_options()("values", po::bool_switch(), "with --tape: every value and gradient of it instead");
  const std::string names =
      "print a worked example of docs/course, with every value and gradient; with --dot or "
      "--tape, the example they show (default: logistic). NAME is one of " +
      example_names();
  options.add_options()("example", po::value<std::string>()->value_name("NAME"), names.c_str());
  options.add_options()("break", po::value<std::string>()->value_name("OP[:N]"),
                        "flip the sign of the gradient that OP passes back, or of that of its input N (0 is the "
                        "first), and show which checks fail; with --example, in that example");
  options.add_options()("markdown", po::bool_switch(),
                        "print docs/gradients.md; with --device cuda, print the table of docs/gpu.md");
  add_device_option(options);
  const auto parsed = parse({"audit", "[--ops] [--fixture FILE...] [--example NAME] [--break OP] [--dot FILE]",
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
  if (const std::optional<bool> agrees = audit_example(*parsed, device)) {
    passed = *agrees;
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
