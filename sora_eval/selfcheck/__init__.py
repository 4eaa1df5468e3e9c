"""The selfcheck: does every metric see what it claims to see, and is it blind only to what it says?"""
