"""Counts, with Fizz for multiples of three and Buzz for multiples of five."""

for number in range(1, 21):
    word = "Fizz" * (number % 3 == 0) + "Buzz" * (number % 5 == 0)
    print(word or number)
