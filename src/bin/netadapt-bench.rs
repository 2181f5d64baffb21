//! The program `netadapt-bench`; see `netadapt::cli`.

fn main() -> std::process::ExitCode {
    netadapt::cli::netadapt_bench()
}
