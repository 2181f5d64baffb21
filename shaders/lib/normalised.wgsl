// What the backward passes of a normalisation need of one quad; the shader declares `moments`
// (3, F: mean, variance, count) and `affine` (2, F: gamma, beta).

struct Normalised {
    mean: vec4f,
    inverse_deviation: vec4f,
    scale: vec4f,
    shift: vec4f,
}

fn normalised(quad: u32, quads: u32, epsilon: f32) -> Normalised {
    let inverse = inverseSqrt(moments[quads + quad] + epsilon);
    return Normalised(moments[quad], inverse, affine[quad], affine[quads + quad]);
}
