  reg [@BITS@-1:0] @NAME@_expected [0:@COUNT@-1];
  initial $readmemh("@FILE@", @NAME@_expected);
  task check_@NAME@;
    for (place = 0; place < @COUNT@; place = place + 1)
      if (@NAME@.words[place] !== @NAME@_expected[place]) begin
        $display("@NAME@: %h instead of %h in word %0d", @NAME@.words[place], @NAME@_expected[place], place);
        wrong = wrong + 1;
      end
  endtask
