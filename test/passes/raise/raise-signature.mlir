// RUN: llmc-opt %s --llmc-raise-signature --verify-diagnostics --split-input-file | FileCheck %s

// CHECK-LABEL: func.func @step
// CHECK-SAME:    (%[[T:.*]]: tensor<?xi32>, %[[P:.*]]: tensor<?xi32>, %{{.*}}: tensor<?xi32>, %{{.*}}: tensor<?x?xi64> {llm.name = "input_ids"}
// CHECK-DAG:     builtin.unrealized_conversion_cast %[[T]] : tensor<?xi32> to tensor<?x?xi64>
// CHECK-DAG:     builtin.unrealized_conversion_cast %[[P]] : tensor<?xi32> to tensor<?x?xi64>
func.func @step(%ids: tensor<?x?xi64> {llm.name = "input_ids"}, %p: tensor<?x?xi64> {llm.name = "position_ids"}) -> (tensor<?x?xi64>, tensor<?x?xi64>) {
  return %ids, %p : tensor<?x?xi64>, tensor<?x?xi64>
}

// -----

// A finished module, of another frontend, is left as it is.
// CHECK-LABEL: func.func @step(%{{.*}}: tensor<?xi32>) -> tensor<?xi32>
func.func @step(%t: tensor<?xi32>) -> tensor<?xi32> {
  return %t : tensor<?xi32>
}

// -----

// expected-error @below {{input_ids: found no such graph input}}
module {
  func.func @step(%x: tensor<?x?x16xf32> {llm.name = "inputs_embeds"}) -> tensor<?x?x16xf32> {
    return %x : tensor<?x?x16xf32>
  }
}

// -----

// expected-error @below {{input_ids: found 'tensor<?x?xf32>', expected INT64 [batch, tokens]}}
module {
  func.func @step(%x: tensor<?x?xf32> {llm.name = "input_ids"}) -> tensor<?x?xf32> {
    return %x : tensor<?x?xf32>
  }
}
