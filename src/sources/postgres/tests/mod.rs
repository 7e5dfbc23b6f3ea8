//! Tests of the lexer, the survey and the rewriter together.
