// How packed constants are kept in memory. What is computed with them is fp32.
#pragma once

namespace kdef::ops {

/// f32: as they are. bf16: rounded to the nearest, ties to even; half the memory. int8: whole numbers from -127 to 127
/// times one number for each row, its largest magnitude / 127; a quarter of the memory. A row is what has one output of
/// a product, or one id of a table.
enum class Stored { f32, bf16, int8 };

}  // namespace kdef::ops
