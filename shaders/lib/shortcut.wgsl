// How a layer's input reaches its output, by the number of `kernels::Merge`; NetAdaptV2, section 2.

const NO_SHORTCUT: u32 = 0u;
const BYPASS: u32 = 1u;
const RESIDUAL: u32 = 2u;

// The output of a layer in quad `quad`: `filters` below `kept`; the source's channels below `bypass`
// added (residual) or in the place of dropped filters (bypass).
fn merge(kind: u32, filters: vec4f, source: vec4f, quad: u32, kept: u32, bypass: u32) -> vec4f {
    let mine = keep(filters, quad, kept);
    let theirs = keep(source, quad, bypass);
    if kind == RESIDUAL {
        return mine + theirs;
    }
    return select(theirs, mine, below(quad, kept));
}

// The part of the output's gradient that reaches the source directly.
fn split(kind: u32, gradient: vec4f, quad: u32, kept: u32, bypass: u32) -> vec4f {
    let theirs = keep(gradient, quad, bypass);
    if kind == RESIDUAL {
        return theirs;
    }
    return select(theirs, vec4f(0.0), below(quad, kept));
}
