"""What is known of the zoo without running it: published accuracies and costs, and the table of layers."""
