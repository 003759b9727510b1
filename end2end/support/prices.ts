// Price files, for products with something to choose.

/** The demo agent at two prices: something to choose, without a model. */
export const TWO_PRICES = `
version = "test"
default = "demo"
[models.demo]
agent = "demo"
input = 100
output = 500
max_input_tokens = 20_000
max_output_tokens = 20_000
minimum_hold = 1
[models.dearer]
agent = "demo"
input = 1000
output = 5000
max_input_tokens = 20_000
max_output_tokens = 20_000
minimum_hold = 1
`;
