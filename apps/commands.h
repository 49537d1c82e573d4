// The subcommands, each in the file of its name.
#pragma once

#include "apps/cli.h"

namespace kdef::apps {

int audit(const Arguments& arguments);
int bench(const Arguments& arguments);
int bench_load(const Arguments& arguments);     // bench_data.cpp
int bench_prepare(const Arguments& arguments);  // bench_data.cpp
int collapse(const Arguments& arguments);
int demo(const Arguments& arguments);
int evaluate(const Arguments& arguments);
int export_run(const Arguments& arguments);
int importance(const Arguments& arguments);
int import_weights(const Arguments& arguments);  // import.cpp
int info(const Arguments& arguments);
int init(const Arguments& arguments);
int networks(const Arguments& arguments);
int predict(const Arguments& arguments);
int prepare(const Arguments& arguments);
int report(const Arguments& arguments);
int sweep(const Arguments& arguments);
int synth(const Arguments& arguments);
int train(const Arguments& arguments);
int tune(const Arguments& arguments);

}  // namespace kdef::apps
