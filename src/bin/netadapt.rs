//! The program `netadapt`; see `netadapt::cli`.

fn main() -> std::process::ExitCode {
    netadapt::cli::netadapt()
}
