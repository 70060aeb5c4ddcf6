// Activation functions and their slopes, by number: 0 the identity, 1 ReLU, 2 GELU, 3 SiLU. All are 0 at 0, so that padding
// channels stay zero.

// 1 - Phi(|z|), the upper tail of the normal distribution, as erfc(|z|/sqrt(2)) / 2: Abramowitz, Stegun, "Handbook of
// Mathematical Functions", 7.1.26, whose error is below 1.5e-7 in erf, so below 7.5e-8 here.
fn normal_tail(z: vec4<f32>) -> vec4<f32> {
    let t = 1.0 / (1.0 + (0.3275911 * 0.70710678) * abs(z));
    let p = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
    return 0.5 * p * exp(-0.5 * z * z);
}

fn normal(z: vec4<f32>) -> vec4<f32> {
    let tail = normal_tail(z);
    return select(tail, 1.0 - tail, z >= vec4(0.0));
}

// The exponent is kept below where f32 would be infinite, which a driver need not honour.
fn sigmoid(z: vec4<f32>) -> vec4<f32> {
    return 1.0 / (1.0 + exp(min(-z, vec4(80.0))));
}

fn activate(function: u32, z: vec4<f32>) -> vec4<f32> {
    switch function {
        case 1u: {
            return max(z, vec4(0.0));
        }
        case 2u: {
            return z * normal(z);
        }
        case 3u: {
            return z * sigmoid(z);
        }
        default: {
            return z;
        }
    }
}

fn slope(function: u32, z: vec4<f32>) -> vec4<f32> {
    switch function {
        case 1u: {
            return select(vec4(0.0), vec4(1.0), z > vec4(0.0));
        }
        case 2u: {
            return normal(z) + z * (0.39894228 * exp(-0.5 * z * z));
        }
        case 3u: {
            let s = sigmoid(z);
            return s * (1.0 + z * (1.0 - s));
        }
        default: {
            return vec4(1.0);
        }
    }
}
