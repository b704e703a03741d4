"""What a result is held against: accuracy bands, and the two definitions of depth; runs merged are judged anew."""
