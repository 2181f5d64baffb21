// What the backward passes of a normalisation need of one quad; the shader declares `moments`
// (3, F: mean, variance, count) and `affine` (2, F: gamma, beta; or 1, F: a bias).

struct Normalised {
    mean: vec4f,
    inverse_deviation: vec4f,
    scale: vec4f,
    shift: vec4f,
}

// The identity in the place of the normalisation where the layer has a bias only.
fn normalised(normalise: bool, quad: u32, quads: u32, epsilon: f32) -> Normalised {
    if !normalise {
        return Normalised(vec4f(0.0), vec4f(1.0), vec4f(1.0), affine[quad]);
    }
    let inverse = inverseSqrt(moments[quads + quad] + epsilon);
    return Normalised(moments[quad], inverse, affine[quad], affine[quads + quad]);
}
