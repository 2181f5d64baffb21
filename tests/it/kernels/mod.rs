//! Every kernel against its reference, over tables of shapes, widths and tile sizes. The cases are the library's
//! (`check`), whose own few, those of `netadapt doctor`, are tried here against kernels that are broken.

mod bias;
mod conv;
mod convert;
mod depthwise;
mod excite;
mod loss;
mod norm;
mod optimizer;
mod pool;
mod probe;
mod reduce;
