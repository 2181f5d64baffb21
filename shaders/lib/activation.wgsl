// Activation functions by the number of `kernels::activation_code`.

const IDENTITY: u32 = 0u;
const RELU: u32 = 1u;
const HARD_SWISH: u32 = 2u;
const HARD_SIGMOID: u32 = 3u;

// Products, since a division takes several times as long on every adapter.
fn hard_sigmoid(x: vec4f) -> vec4f {
    return clamp(fma(x, vec4f(1.0 / 6.0), vec4f(0.5)), vec4f(0.0), vec4f(1.0));
}

fn activate(kind: u32, x: vec4f) -> vec4f {
    if kind == RELU {
        return max(x, vec4f(0.0));
    }
    if kind == HARD_SWISH {
        return x * hard_sigmoid(x);
    }
    if kind == HARD_SIGMOID {
        return hard_sigmoid(x);
    }
    return x;
}

// Its derivative; at the kinks the value that PyTorch gives.
fn activate_gradient(kind: u32, x: vec4f) -> vec4f {
    if kind == RELU {
        return select(vec4f(0.0), vec4f(1.0), x > vec4f(0.0));
    }
    if kind == HARD_SWISH {
        let middle = fma(x, vec4f(1.0 / 3.0), vec4f(0.5));
        return select(select(middle, vec4f(1.0), x > vec4f(3.0)), vec4f(0.0), x < vec4f(-3.0));
    }
    if kind == HARD_SIGMOID {
        return select(vec4f(0.0), vec4f(1.0 / 6.0), (x > vec4f(-3.0)) & (x < vec4f(3.0)));
    }
    return vec4f(1.0);
}
