#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    netadapt::formats::format("pack").reads(bytes);
});
