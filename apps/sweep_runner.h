// What `kdef sweep` and `kdef tune` share: options, progress, the end.
#pragma once

#include "apps/cli.h"
#include "kdef/study/sweep.h"

namespace kdef::apps {

/// Adds --out (required, or with a default that `out_default` describes), --jobs, --resume, --dry-run, --device and
/// --threads.
void add_sweep_options(po::options_description& options, const std::string& out_default = "");

/// Trains the open runs of a sweep and shows progress, or lists them for --dry-run. Returns the exit status: that of
/// the gravest failure of a run, kInterrupted after Ctrl-C.
int run_sweep(Sweep& sweep, const Parsed& parsed);

}  // namespace kdef::apps
